"""Which nodes have one key: names of functions that moved, parameters that stand at their default."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake_stages import MakePlan, stage

from wsss_lightning import pipeline
from wsss_lightning.pipeline import identity, store
from wsss_lightning.pipeline.aliases import MOVED, keyed_target
from wsss_lightning.pipeline.identity import hashed
from wsss_lightning.pipeline.store import changed_sources

CASES = {
    "new.module": "old.module",
    "new.module.one": "older.one",
    "new.package": "old.package",
}


@pytest.mark.parametrize(
    ("target", "keyed"),
    [
        ("new.module.two", "old.module.two"),
        ("new.module.one", "older.one"),
        ("new.module.Class.method", "old.module.Class.method"),
        ("new.package.module.three", "old.package.module.three"),
        ("new.modules.two", "new.modules.two"),
        ("renew.module.two", "renew.module.two"),
    ],
)
def test_the_longest_part_that_moved_decides(monkeypatch: pytest.MonkeyPatch, target: str, keyed: str) -> None:
    for new, old in CASES.items():
        monkeypatch.setitem(MOVED, new, old)
    assert keyed_target(target) == keyed


def test_no_two_functions_are_known_by_one_name() -> None:
    assert len(set(MOVED.values())) == len(MOVED)


def _nested(size: int = 2) -> dict[str, Any]:
    return stage("part_sizes", parts=[{"_target_": "fake_stages.Part", "size": size}])


def test_a_move_keeps_the_key_at_any_depth(make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _nested()
    written = json.loads(json.dumps(before).replace("fake_stages", "stages_before"))
    monkeypatch.setitem(MOVED, "fake_stages", "stages_before")
    planned = make_plan({"only": before}).final
    assert hashed(planned.node) == {**written, "out_dir": "<out_dir>"}
    assert planned.node["_target_"] == "fake_stages.part_sizes", "the record says what ran"
    assert planned.key == make_plan({"only": written}).final.key, "one's own YAML may still have the old name"


def test_a_record_from_before_a_move_is_read_and_run_again(
    make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = make_plan({"only": _nested(size=3)}).final
    pipeline.run(make_plan({"only": _nested(size=3)}))
    path = planned.folder / "stage.json"
    path.write_text(path.read_text().replace('": "fake_stages.', '": "stages_before.'))
    monkeypatch.setitem(MOVED, "fake_stages", "stages_before")
    assert pipeline.rerun(path) == {"size": 3.0}
    record = planned.record()
    assert record is not None and record["node"]["_target_"] == "stages_before.part_sizes"
    assert changed_sources(record) == []


def _key(make_plan: MakePlan, node: dict[str, Any]) -> str:
    return make_plan({"only": node}).final.key


@pytest.mark.parametrize(("name", "default"), [("value", 0), ("previous", None), ("weights", None)])
def test_a_default_spelt_out_keeps_the_key(make_plan: MakePlan, name: str, default: Any) -> None:
    assert _key(make_plan, stage("write", **{name: default})) == _key(make_plan, stage("write"))


@pytest.mark.parametrize("value", [False, 0.0, "0", None, [0]])
def test_what_only_resembles_a_default_counts(make_plan: MakePlan, value: Any) -> None:
    assert _key(make_plan, stage("write", value=value)) != _key(make_plan, stage("write"))


def test_defaults_of_nested_objects_are_left_out_too(make_plan: MakePlan) -> None:
    bare, spelt, other = _nested(), _nested(), _nested()
    spelt["parts"][0]["name"], other["parts"][0]["name"] = "", "a"
    assert hashed(spelt) == hashed(bare) == bare
    assert len({_key(make_plan, node) for node in (bare, spelt, other)}) == 2


def test_the_stage_gets_what_its_node_says(make_plan: MakePlan) -> None:
    plan = make_plan({"only": stage("write", value=0)})
    pipeline.run(plan)
    assert plan.final.node["value"] == 0


def test_a_default_in_keys_of_old_stands_there_spelt_out_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(identity._ALWAYS, "old.write", frozenset({"value"}))
    monkeypatch.setitem(MOVED, "fake_stages.write", "old.write")
    kept = {"_target_": "old.write", "out_dir": "<out_dir>", "value": 0}
    bare = {"_target_": "fake_stages.write", "out_dir": "<out_dir>"}
    assert hashed(bare) == hashed({**bare, "value": 0, "workers": None}) == kept


def test_a_list_is_the_tuple_that_python_writes() -> None:
    node = {"_target_": "wsss_lightning.data.transforms.picture_augmentation", "scale": [0.8, 1.2]}
    assert hashed(node) == {"_target_": node["_target_"]}


@pytest.mark.parametrize(("devices", "same"), [([0], 1), ([1], 1), ([2, 5], 2), (2, [0, 1])])
def test_which_devices_of_a_machine_a_stage_runs_on_changes_no_key(
    make_plan: MakePlan, devices: list[int] | int, same: list[int] | int
) -> None:
    def plan(chosen: list[int] | int) -> pipeline.Plan:
        return make_plan({"only": stage("ranks", trainer={"devices": chosen})})

    assert plan(devices).final.key == plan(same).final.key != plan(3).final.key
    assert plan(devices).final.node["trainer"] == {"devices": devices}, "the run uses the given ones"


OF_TRAINING = {"max_steps": 3, "val_check_interval": 0.1, "limit_val_batches": 1, "fast_dev_run": True}


@pytest.mark.parametrize("option", OF_TRAINING)
def test_what_only_training_reads_changes_keys_of_trainings_alone(make_plan: MakePlan, option: str) -> None:
    def key(trainer: dict[str, Any], **settings: Any) -> str:
        return make_plan({"only": stage("open_truth", trainer=trainer, **settings)}).final.key

    given = {"devices": 1, option: OF_TRAINING[option]}
    assert key(given) == key({"devices": 1}) != key({"devices": 1, "precision": 16})
    assert key(given, checkpoint_every=5) != key({"devices": 1}, checkpoint_every=5)


def test_a_release_changes_no_source(tmp_path: Path) -> None:
    hashes = []
    for number, text in enumerate(
        ('__version__ = "0.1.0"\n', '__version__ = "3.2.1"\n', '__version__ = "0.1.0" + ""\n')
    ):
        (path := tmp_path / f"{number}.py").write_text(text)
        hashes.append(store._hash(path))
    assert hashes[0] == hashes[1] != hashes[2]
