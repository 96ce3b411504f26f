"""A finished stage holds what it held when it finished, or is not read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_stages import MakePlan, stage

from wsss_lightning import pipeline
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.contents import verified
from wsss_lightning.pipeline.store import RECORD, read_record


def _two(make_plan: MakePlan, value: int = 1) -> pipeline.Plan:
    return make_plan({"first": stage("write"), "last": stage("write", value=value, previous="${artifact:first}")})


def _record(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / RECORD).read_text()))


def test_a_record_lists_sizes_and_hashes_but_of_logs_and_hidden_files(make_plan: MakePlan) -> None:
    plan = _two(make_plan)
    folder = plan.final.folder
    for name in ("logs/metrics.csv", "panels/a/b.png", "panels/logs/c.png", ".hidden"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("abc")
    pipeline.run(plan)
    record = _record(folder)
    assert list(record["files"]) == ["calls", "given.json", "node.json", "panels/a/b.png", "panels/logs/c.png"]
    assert record["files"].keys() == record["hashes"].keys() and record["files"]["panels/a/b.png"] == 3
    assert record["hashes"]["panels/a/b.png"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def _delete(path: Path) -> None:
    path.unlink()


def _shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("harm", [_delete, _shorten])
def test_a_stage_that_lost_or_changed_a_file_is_not_read(make_plan: MakePlan, harm: Callable[[Path], None]) -> None:
    plan = _two(make_plan)
    pipeline.run(plan)
    first = plan.stages["first"]
    before = (first.folder / "given.json").read_bytes()
    harm(first.folder / "given.json")
    assert first.status() == "damaged: 1 (given.json) lost or changed" and plan.final.status() == "cached"
    other = _two(make_plan, value=2)
    with pytest.raises(InputError, match=r"first-.* is damaged: 1 \(given\.json\) of its 3 files .* --fresh first\.$"):
        pipeline.run(other)
    assert not other.final.folder.exists()
    with pytest.raises(InputError, match=r"first-.* is damaged"):
        pipeline.rerun(plan.final.folder / RECORD)
    assert pipeline.run(other, fresh=["first"]) == {"value": 2.0}
    assert (first.folder / "given.json").read_bytes() == before and first.status() == "cached"


def test_a_record_from_before_there_were_lists_is_read(make_plan: MakePlan) -> None:
    plan = _two(make_plan)
    pipeline.run(plan)
    folder = plan.stages["first"].folder
    record = {name: value for name, value in _record(folder).items() if name not in {"files", "hashes", "threads"}}
    (folder / RECORD).write_text(json.dumps({**record, "metrics": {"value": float("nan")}}))
    (folder / "given.json").unlink()
    assert plan.stages["first"].status() == "cached"
    assert [verdict for _, verdict, _ in verified(folder.parent, ["first"])] == ["without a list of files"]


def test_verify_sees_a_change_of_the_same_size(make_plan: MakePlan) -> None:
    plan = _two(make_plan)
    pipeline.run(plan)
    store = plan.final.folder.parent
    assert {verdict for _, verdict, _ in verified(store, [])} == {"whole"}
    path = plan.stages["first"].folder / "given.json"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    (plan.final.folder / "calls").unlink()
    assert list(verified(store, [])) == [
        (path.parent.name, "damaged", ["given.json is lost or changed"]),
        (plan.final.folder.name, "damaged", ["calls is lost or changed"]),
    ]
    assert [name for name, *_ in verified(store, ["last"])] == [plan.final.folder.name]
    for place, names in ((store / "nowhere", []), (store, ["other"])):
        with pytest.raises(InputError, match=r"holds no finished (stage|other): give"):
            list(verified(place, names))


def test_nan_is_null_in_a_record_and_nan_again_when_it_is_read(make_plan: MakePlan) -> None:
    plan = make_plan({"only": stage("nan")})
    first, again = pipeline.run(plan)["value"], pipeline.run(plan)["value"]
    assert first != first and again != again
    assert '"value": null' in (plan.final.folder / RECORD).read_text()


def test_a_setting_that_no_record_can_hold_is_refused(make_plan: MakePlan) -> None:
    with pytest.raises(InputError, match=r"stages\.only\.value=inf: give a finite number"):
        make_plan({"only": stage("write", value=float("inf"))})


WRONG: list[tuple[Any, str]] = [
    ([], "it holds list"),
    ("x", "it holds str"),
    ({}, "its stage should be text"),
    ({"node": None}, "its node should be a mapping"),
    ({"node": []}, "its node should be a mapping"),
    ({"node": {}}, "its node names no _target_"),
    ({"sources": None}, "its sources should be a mapping"),
    ({"metrics": {"value": "high"}}, r"metrics\.value should be a number"),
    ({"bindings": {"<artifact:a>": 3}}, r"bindings\.<artifact:a> should be text"),
    ({"upstream": {"first": 3}}, r"upstream\.first should be text"),
    ({"files": {"a": "big"}}, r"files\.a should be a whole number"),
    ({"opened": {"ground_truth_masks": 3}}, r"opened\.ground_truth_masks should be a mapping"),
]


@pytest.mark.parametrize(("wrong", "fault"), WRONG)
def test_a_record_of_another_shape_is_one_sentence_everywhere(make_plan: MakePlan, wrong: Any, fault: str) -> None:
    plan = make_plan({"only": stage("write")})
    pipeline.run(plan)
    path = plan.final.folder / RECORD
    whole = wrong if not wrong or not isinstance(wrong, dict) else {**_record(plan.final.folder), **wrong}
    path.write_text(json.dumps(whole))
    for read in (plan.final.status, plan.final.record, lambda: pipeline.run(plan), lambda: pipeline.rerun(path)):
        with pytest.raises(InputError, match=rf"stage\.json is no stage's record \({fault}.*\): delete the folder"):
            read()
    (found,) = verified(plan.final.folder.parent, [])
    assert found[1] == "damaged"


def test_a_deeply_nested_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / RECORD).write_text("[" * 100_000)
    with pytest.raises(InputError, match=r"stage\.json is no JSON file"):
        read_record(tmp_path)


def test_what_a_killed_process_was_writing_is_gone_when_the_stage_starts(make_plan: MakePlan) -> None:
    plan = make_plan({"only": stage("write")})
    for name in (".writing-1/a.png", ".a.1.png"):
        (plan.final.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (plan.final.folder / name).touch()
    pipeline.run(plan)
    assert sorted(path.name for path in plan.final.folder.iterdir()) == [
        "calls",
        "given.json",
        "node.json",
        "stage.json",
    ]
