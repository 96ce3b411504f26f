"""A record that comes from elsewhere: what it may call, and what is said of one that is at fault."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_stages import MakePlan, stage

from wsss_lightning import pipeline
from wsss_lightning.errors import InputError
from wsss_lightning.trust import TRUST

Change = Callable[[dict[str, Any]], Any]


@pytest.fixture
def record(make_plan: MakePlan) -> Path:
    stages = {"first": stage("write"), "last": stage("write", previous="${artifact:first}", value=1)}
    plan = make_plan(stages)
    pipeline.run(plan)
    return plan.final.folder / "stage.json"


def _change(path: Path, change: Change) -> None:
    content = json.loads(path.read_text())
    changed = change(content)
    path.write_text(json.dumps(content if changed is None else changed))


def _target(name: str, **arguments: Any) -> Change:
    return lambda content: content["node"].update(value={"_target_": name, **arguments})


def _token(content: dict[str, Any]) -> str:
    return next(token for token in content["bindings"] if token.startswith("<artifact:"))


ATTACKS: dict[str, Change] = {
    "a command": _target("os.system", command="touch {victim}"),
    "numpy's pickles": _target("numpy.load", file="a.npy", allow_pickle=True),
    "torch's pickles": _target("torch.load", f="a.pt", weights_only=False),
    "joblib's": _target("joblib.load", filename="a"),
    "a hub": _target("torch.hub.load", repo_or_dir=".", model="x", source="local"),
    "a partial": _target("functools.partial", _args_=[{"_target_": "os.getcwd", "_partial_": True}]),
    "Hydra itself": _target("hydra.utils.instantiate", config={"a": 1}),
    "ours that calls what it is told": _target("wsss_lightning.pipeline.calls.call", node={}),
    "ours that builds": _target("wsss_lightning.nn.description.build", node={}, trust=["os"]),
    "what ours imports": _target("wsss_lightning.stages.io.np.load", file="a"),
    "what a stage imports": _target("wsss_lightning.stages.refine.partial", _args_=[1]),
    "ours that writes": _target("wsss_lightning.stages.io.write_json", path="{victim}", value=1),
    "a private name of torch": _target("torch.nn.modules.module.warnings.warn", message="x"),
    "a function of torch": _target("torch.nn.utils.parametrize.cached"),
    "deep": lambda content: content["node"].update(value=[{"a": [{"_target_": "os.getcwd"}]}]),
    "the stage": lambda content: content["node"].update(_target_="os.getcwd"),
    "in a binding": lambda content: content["bindings"].update({"<logger>": {"a": {"_target_": "os.getcwd"}}}),
    "a name that a binding gives": lambda content: (
        (
            content["node"].update(value={"_target_": "<x>"}),
            content["bindings"].update({"<x>": "os.getcwd"}),
        )[2:]
        or None
    ),
    "a computed mapping": lambda content: content["node"].update(value="${oc.create:'{_target_: os.getcwd}'}"),
    "computed when looked at twice": lambda content: content["node"].update(value="\\${oc.create:'{a: 1}'}"),
    "a computed name": lambda content: content["node"].update(value={"_target_": "${oc.decode:os.getcwd}"}),
    "computed in pieces": lambda content: (
        (
            content["node"].update(value="$<x>oc.env:HOME}"),
            content["bindings"].update({"<x>": "{"}),
        )[2:]
        or None
    ),
    "another folder": lambda content: content["node"].update(out_dir="{victim}"),
    "a folder above": lambda content: content["bindings"].update({_token(content): "../.."}),
    "tokens in tokens": lambda content: content["bindings"].update({"<a>": "<b><b>", "<b>": "x"}),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_of_an_untrusted_record_is_called(
    record: Path, attack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _change(record, ATTACKS[attack])
    record.write_text(record.read_text().replace("{victim}", str(tmp_path / "victim")))
    again = tmp_path / "again"
    with pytest.raises(InputError, match=r"stage\.json") as error:
        pipeline.rerun(record, out_dir=again)
    assert "\n" not in str(error.value) and len(str(error.value)) < 600
    assert not again.exists() and not (tmp_path / "victim").exists()


def test_a_named_package_is_called_nested_or_not(record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _change(record, lambda content: content["node"].update(value={"_target_": "posixpath.basename", "p": "a/7"}))
    with pytest.raises(InputError, match=r"posixpath\.basename, .* another package: .*--trust posixpath"):
        pipeline.rerun(record, out_dir=tmp_path / "again")
    pipeline.rerun(record, out_dir=tmp_path / "again", trust=["posixpath"])
    assert json.loads((tmp_path / "again" / "given.json").read_text())["value"] == "7"
    monkeypatch.delenv(TRUST)
    with pytest.raises(InputError, match=r"fake_stages\.write, .*--trust fake_stages"):
        pipeline.rerun(record, out_dir=tmp_path / "third", trust=["posixpath"])


def _set(**entries: Any) -> Change:
    return lambda content: content.update(entries)


def _in_node(**entries: Any) -> Change:
    return lambda content: content["node"].update(entries)


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


FAULTS: dict[str, tuple[Change, str]] = {
    "a list": (lambda _: [], "it holds list, not a mapping"),
    "an empty mapping": (lambda _: {}, "its stage should be text"),
    "node null": (_set(node=None), "its node should be a mapping"),
    "node empty": (_set(node={}), "its node names no _target_"),
    "a target that is no text": (_in_node(_target_=3), "its node names no _target_"),
    "a nested target that is no text": (_in_node(value={"_target_": [1]}), "no dotted name"),
    "a target without a module": (_in_node(_target_="write"), "no dotted name"),
    "a target that is gone": (_in_node(_target_="fake_stages.gone"), "no fake_stages.gone|fake_stages.gone"),
    "bindings a list": (_set(bindings=[]), "its bindings should be a mapping"),
    "an artifact that is a number": (lambda c: c["bindings"].update({_token(c): 7}), "bindings.<artifact:.* text"),
    "a weights file that is a number": (lambda c: c["bindings"].update({"<weights:1>": 7}), "is 7, not a path"),
    "a trainer that is a text": (_in_node(trainer="x"), "node.trainer is 'x'"),
    "an unfinished interpolation": (_in_node(value="${"), "is to be computed"),
    "deep nesting": (_in_node(value=_nested(300)), "nested more than 40 deep"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_record_at_fault_is_named_in_a_sentence(record: Path, fault: str, tmp_path: Path) -> None:
    change, message = FAULTS[fault]
    _change(record, change)
    with pytest.raises(InputError, match=message) as error:
        pipeline.rerun(record, out_dir=tmp_path / "again")
    assert "\n" not in str(error.value) and not (tmp_path / "again").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": 1' * 1000])
def test_a_record_that_is_no_json_is_named(record: Path, content: bytes, tmp_path: Path) -> None:
    record.write_bytes(content)
    with pytest.raises(InputError, match=r"stage\.json"):
        pipeline.rerun(record, out_dir=tmp_path / "again")
