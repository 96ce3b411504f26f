from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_data import write_voc
from fake_stages import MakePlan, stage

from wsss_lightning import pipeline
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline import PlannedStage
from wsss_lightning.pipeline.estimates import check_room, cost, costs, estimated, items, room, rounded_time


def test_a_stage_takes_what_its_like_took(make_plan: MakePlan, caplog: pytest.LogCaptureFixture) -> None:
    plans = [make_plan({"first": stage("write"), "last": stage("write", value=value)}) for value in range(6)]
    for value, seconds in enumerate((1000.0, 10.0, 40.0, 30.0)):
        pipeline.run(plans[value])
        path = plans[value].final.folder / "stage.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "wall_seconds": seconds}))
    assert cost(plans[4].final).seconds == 30.0, "the latest of those that are as near"
    nearer = make_plan({"first": stage("write"), "last": stage("write", value=1, workers=[])}).final
    assert cost(nearer).seconds == 10.0, "the one that differs in the fewest settings"
    other = make_plan({"last": stage("fail_without", fuse="here")}).final
    assert cost(other).seconds is None, "the same name, another function"
    written = cost(plans[4].final).bytes
    assert written and 100 < written < 900, "of what the stage wrote"
    assert estimated([plans[4].final]) == f"about 30 s and {written} B by earlier runs" and estimated([other]) == ""
    caplog.clear()
    with caplog.at_level(logging.INFO):
        pipeline.run(plans[4])
        pipeline.run(plans[4])
    line = next(message for message in caplog.messages if "stages to do" in message)
    assert line == f"1 of 1 stages to do, about 30 s and {written} B by earlier runs"
    assert any("s on CPU" in message for message in caplog.messages)


@pytest.mark.parametrize(("seconds", "text"), [(5.2, "5 s"), (150, "2 min"), (9000, "2.5 h")])
def test_an_estimate_is_no_more_exact_than_it_is(seconds: float, text: str) -> None:
    assert rounded_time(seconds) == text


def _of(make_plan: MakePlan, root: Path, **parameters: Any) -> PlannedStage:
    data = {"_target_": "wsss_lightning.data.voc.VOCDataModule", "root": str(root), "size": None, "batch_size": 1}
    data |= {"mean": [0, 0, 0], "std": [1, 1, 1], "train_list": "train", "val_list": "val"}
    return make_plan({"last": stage("write_images", data=data, **parameters)}).final


def test_what_is_done_for_each_image_grows_with_their_number(make_plan: MakePlan, tmp_path: Path) -> None:
    ids = [f"2007_{number:06}" for number in range(30)]
    write_voc(tmp_path / "small", train=tuple(ids[:2]), val=tuple(ids[2:5]))
    write_voc(tmp_path / "large", train=tuple(ids[:10]), val=tuple(ids[10:30]))
    small = _of(make_plan, tmp_path / "small", split="val")
    assert items(small) == 3 and cost(small).seconds is None
    pipeline.run(make_plan({"last": small_node(small)}))
    record = small.record()
    assert record is not None and record["items"] == 3
    large = _of(make_plan, tmp_path / "large", split="val")
    assert cost(large).items == 20
    assert cost(large).seconds == pytest.approx(record["wall_seconds"] * 20 / 3)
    assert cost(large).bytes == round(sum(record["files"].values()) * 20 / 3)
    assert items(_of(make_plan, tmp_path / "large", splits=["train", "val"])) == 30
    assert items(_of(make_plan, tmp_path / "large")) is None, "nothing tells which"


def test_a_stage_without_data_goes_by_what_it_reads(make_plan: MakePlan, tmp_path: Path) -> None:
    def planned(name: str, count: int, **parameters: Any) -> Any:
        ids = tuple(f"2007_{number:06}" for number in range(count))
        write_voc(tmp_path / name, train=ids, val=ids[:1])
        data = {"_target_": "wsss_lightning.data.voc.VOCDataModule", "root": str(tmp_path / name), "size": None}
        data |= {"batch_size": 1, "mean": [0, 0, 0], "std": [1, 1, 1], "train_list": "train", "val_list": "val"}
        read = stage("write", previous="${artifact:first}", **parameters)
        return make_plan({"first": stage("write_images", data=data, split="train"), "last": read})

    small, large = planned("small", 3), planned("large", 12)
    pipeline.run(small)
    record = small.final.record()
    assert record["items"] == 3
    _, told = costs(large.stages.values())
    assert told.items == 12 and told.seconds == pytest.approx(4 * record["wall_seconds"])


def small_node(planned: PlannedStage) -> dict[str, Any]:
    node = {**planned.node, "out_dir": "${out_dir:}"}
    data = dict(node["data"])
    data["root"] = planned.bindings[data["root"]]
    return {**node, "data": data}


def test_stages_of_one_name_in_several_plans_all_count(make_plan: MakePlan) -> None:
    finished, *waiting = [make_plan({"last": stage("write", value=value)}) for value in range(3)]
    pipeline.run(finished)
    seconds = [each.seconds for each in costs(plan.final for plan in waiting)]
    assert seconds == [finished.final.record()["wall_seconds"]] * 2  # type: ignore[index]


def test_a_disk_that_cannot_hold_it_is_told_before(make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = [make_plan({"last": stage("write", value=value)}) for value in range(2)]
    pipeline.run(plans[0])
    check_room([plans[1].final])
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=7))
    check_room([])
    with pytest.raises(
        InputError, match=r"store has room for 7 B, and these stages need about \d+ B: make room, set p"
    ):
        check_room([plans[1].final])
    assert pipeline.run(plans[1]) == {"value": 1.0}, "it is an estimate: a run says so and tries"


@pytest.mark.parametrize(
    ("size", "text"), [(7, "7 B"), (1500, "1.5 kB"), (62.8e9, "63 GB"), (491e9, "491 GB"), (5.94e13, "59.4 TB")]
)
def test_room_is_told_in_the_largest_unit(size: float, text: str) -> None:
    assert room(size) == text
