"""Values that cannot be what a parameter takes are refused when planning, by name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from wsss_lightning import pipeline
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.values import check_values

NO_WEIGHTS = "backbone.weights=null"
REFUSED = {
    "seed=abc": r"seed=abc: a whole number is needed\.",
    "seed=1.5": r"seed=1\.5: a whole number",
    "seed=true": "seed=true: a whole number",
    "seed=null": "seed=null: a whole number",
    "seed=-1": "seed=-1: 0 or more is needed",
    "seed=4294967296": "4294967295 or less is needed",
    "trainer.precision=bf61": r"trainer\.precision=bf61: one of .*bf16-mixed",
    "trainer.accelerator=gpux": "trainer.accelerator=gpux: choose one of auto, cpu",
    "trainer.deterministic=maybe": "deterministic=maybe: true or false or one of warn or null",
    "data.size=abc": r"data\.size=abc: a list \(a whole number each, 2 of them\) or a whole number or null",
    "data.size=[96]": r"data\.size=\[96\]: a list",
    "data.size=[96,96,3]": "data.size",
    "data.size=[96.5,96]": "a list",
    "data.batch_size=0": "batch_size=0: 1 or more",
    "data.batch_size=1.5": "a whole number",
    "data.mean=0.5": r"data\.mean=0\.5: a list \(a number each\)",
    "data.classes=cat": r"classes=cat: a list \(text each\) or null",
    "data.train_list=5": "train_list=5: text or null",
    "runtime.workers=abc": "workers=abc: a whole number",
    "runtime.workers=-1": "workers=-1: 0 or more",
    "runtime.progress=maybe": "progress=maybe: true or false",
    "runtime.checkpoint_every=0": "1 or more",
    "tuning.classifier.rate=fast": "rate=fast: a number",
    "tuning.classifier.rate=-0.1": r"rate=-0\.1: 0 or more",
    "tuning.localizer.rates=[a]": r"a list \(a number each\)",
    "sampler.k=0": r"sampler\.k=0: 1 or more",
    "stages.classifier.data=3": r"stages\.classifier\.data=3: a mapping with a _target_ is needed",
    "stages.classifier.data=null": r"stages\.classifier\.data=null: a mapping with a _target_",
    "stages.classifier.data=voc": r"stages\.classifier\.data=voc: a mapping with a _target_",
    "stages=5": "stages=5: a mapping is needed",
    "stages=null": "stages=None: a mapping is needed",
    "stages.classifier.optimizer={foo: 4}": r"classifier\.optimizer=\{'foo': 4\}: a mapping with a _target_ or null",
    "~trainer._target_": r"trainer=\{.*\} names nothing to call: give it a _target_, or null\.",
    "given=5": "given=5: a mapping is needed",
    "card=5": "card=5: a mapping is needed",
}


@pytest.mark.parametrize("override", REFUSED)
def test_a_value_of_another_kind_is_refused_when_planning(override: str) -> None:
    with pytest.raises(InputError, match=REFUSED[override]) as refusal:
        pipeline.plan([NO_WEIGHTS, override])
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("override", ["seed=7", "trainer.precision=16", "data.size=96", "runtime.workers=3"])
def test_other_values_are_not(override: str) -> None:
    assert pipeline.plan([NO_WEIGHTS, override])


SOURCE = """
from __future__ import annotations
from enum import Enum
from typing import Any, Literal, Optional, TypedDict, Union
from collections.abc import Mapping, Sequence
from annotated_names import Far

Own = Literal["a", 1] | None

class OwnClass: ...
class Kind(str, Enum): ...
class Sizes(TypedDict): ...

def f(own: Own, far: Far, quoted: "int | None", union: Union[int, str], optional: Optional[float],
      many: tuple[int, ...], two: tuple[int, str], table: Mapping[str, Sequence[int]],
      unknown: SomeClass, made: OwnClass, perhaps: OwnClass | None, kind: Kind,
      sizes: Sizes, anything: Any, nested: list[list[float]]): ...
"""
FITS: dict[str, tuple[list[Any], list[Any]]] = {
    "own": (["a", 1, None], ["b", 2, True, 1.0]),
    "far": ([True], [0, "true", None]),
    "quoted": ([3, None], ["3", 3.0, [3]]),
    "made": ([{"_target_": "builtins.dict"}, "${data}", "<token>"], [3, None, "text", [1], {"a": 1}]),
    "perhaps": ([None, {"_target_": "builtins.dict"}], [3, "text"]),
    "kind": (["text"], [3, None]),
    "sizes": ([{"a": 1}], [3, "text", None]),
    "anything": ([3, None, "text", {"a": 1}], []),
    "union": ([3, "3"], [3.5, None]),
    "optional": ([3, 3.5, None], ["3", True]),
    "many": ([[], [1, 2, 3]], [1, ["1"], [1.5]]),
    "two": ([[1, "a"]], [[1], [1, "a", 2], ["a", 1]]),
    "table": ([{}, {"a": [1]}], [{"a": 1}, [1], {"a": ["1"]}]),
    "unknown": ([1, "a", None, [1]], []),
    "nested": ([[[1.5], [2]]], [[1.5], [["a"]]]),
}
OPEN = ["<artifact:ab12>", "${oc.env:HOME}", "???", {"_target_": "builtins.dict"}]


@pytest.mark.parametrize("name", FITS)
def test_annotations_are_read_from_source(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "annotated.py").write_text(SOURCE)
    (tmp_path / "annotated_names.py").write_text("Near = bool\nFar = Near\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    right, wrong = FITS[name]
    for value in [*right, *OPEN]:
        check_values({"deeper": [{"_target_": "annotated.f", name: value}]}, where="here")
    for value in wrong:
        with pytest.raises(InputError, match=rf"^here\.deeper\[0\]\.{name}=.* is needed\.$"):
            check_values({"deeper": [{"_target_": "annotated.f", name: value}]}, where="here")
    assert "annotated" not in sys.modules
