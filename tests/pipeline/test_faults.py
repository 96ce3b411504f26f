"""What the machine does to a stage: a full disk, a store that vanishes, a worker that is killed, other threads."""

from __future__ import annotations

import errno
import json
import logging
from multiprocessing import Pipe
from typing import Any

import pytest
import torch
from fake_stages import MakePlan, stage

from wsss_lightning import pipeline
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.faults import explained
from wsss_lightning.pipeline.store import NODE

DISK: list[dict[str, Any]] = [
    {"number": errno.ENOSPC},
    {"number": errno.EROFS},
    {"number": 0, "text": "Error while serializing: I/O error: No space left on device (os error 28)"},
]


@pytest.mark.parametrize("fault", DISK)
def test_a_disk_that_refuses_is_one_sentence_and_leaves_no_half_file(
    make_plan: MakePlan, fault: dict[str, Any]
) -> None:
    plan = make_plan({"only": stage("refused_by_disk", **fault)})
    with pytest.raises(InputError, match=r"item cannot be written \((No space|Read-only)"):
        pipeline.run(plan)
    assert [path.name for path in plan.final.folder.iterdir()] == [NODE] and plan.final.status() == "half done"


@pytest.mark.parametrize("fails", [True, False])
def test_a_store_that_vanishes_is_one_sentence_and_nothing_is_recorded(make_plan: MakePlan, fails: bool) -> None:
    plan = make_plan({"first": stage("write"), "last": stage("vanish", previous="${artifact:first}", fails=fails)})
    with pytest.raises(
        InputError, match=r"last-\w+ was deleted while last ran: nothing of last is recorded; run it again"
    ):
        pipeline.run(plan)
    assert [each.status() for each in plan.stages.values()] == ["to run", "half done"]


def test_where_all_but_the_stage_itself_vanished_the_store_is_named_and_no_data_set(make_plan: MakePlan) -> None:
    """It was deleted before the stage began: what it reads is not there, which is no fault of the data."""
    last = stage("vanish", previous="${artifact:first}", fails=True, upstream=True)
    with pytest.raises(InputError, match=r"/store/first-\w+ was deleted while last ran: nothing of last is recorded"):
        pipeline.run(make_plan({"first": stage("write"), "last": last}))


def test_a_killed_worker_is_one_sentence(make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsss_lightning.parallel.START_UP", 0.0)
    with pytest.raises(InputError, match=r"^items: a worker process was killed, .*runtime\.processes=1"):
        pipeline.run(make_plan({"only": stage("work_until_killed", processes=2)}))


def test_a_loader_that_is_killed_while_it_hands_a_batch_over_is_one_sentence(tmp_path: Any) -> None:
    (tmp_path / NODE).touch()
    ours, others = Pipe()
    others.close()
    with pytest.raises(InputError, match=r"a loading process was killed.*runtime\.workers=0"), explained("a", tmp_path):
        ours.recv()
    with pytest.raises(EOFError), explained("a", tmp_path):
        raise EOFError


def test_other_errors_stay_what_they_are_and_a_killed_loader_is_one_sentence(tmp_path: Any) -> None:
    (tmp_path / NODE).touch()
    for error, text in (
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), "a loading process was killed"),
        (OSError(errno.ENOSPC, "No space left on device"), r"stage could not go on in .* \(No space left on device\)"),
    ):
        with pytest.raises(InputError, match=text), explained("stage", tmp_path):
            raise error
    with pytest.raises(FileNotFoundError), explained("stage", tmp_path):
        raise FileNotFoundError(errno.ENOENT, "No such file")


def test_threads_processor_and_versions_are_recorded(make_plan: MakePlan) -> None:
    plan = make_plan({"only": stage("write")})
    pipeline.run(plan)
    record = plan.final.record()
    assert record is not None and record["threads"] == torch.get_num_threads() and "begun_with_threads" not in record
    assert record["processor"] and {"scipy", "pillow", "opencv-python-headless"} <= record["packages"].keys()


@pytest.mark.parametrize("before", [3, None])
def test_going_on_with_another_number_of_threads_is_said(
    make_plan: MakePlan, caplog: pytest.LogCaptureFixture, before: int | None
) -> None:
    plan = make_plan({"only": stage("write")})
    plan.final.folder.mkdir(parents=True)
    (plan.final.folder / NODE).write_text("damaged" if before is None else json.dumps({"threads": before}))
    with caplog.at_level(logging.WARNING):
        pipeline.run(plan)
    record = plan.final.record()
    assert record is not None and record.get("begun_with_threads") == before
    assert ("only was begun with 3 threads and goes on with" in caplog.text) == (before is not None)
