import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wsss_lightning import parallel
from wsss_lightning.data.samples import Record
from wsss_lightning.scoring.comparison import any_class, measure_images

RECORDS = [Record(str(number), Path(), None, np.zeros(1, bool)) for number in range(40)]


def _number(record: Record) -> tuple[int, int]:
    return int(record.image_id), os.getpid()


def _value(record: Record) -> int:
    return int(record.image_id)


def _measured(measure: Any, **settings: Any) -> list[Any]:
    return list(measure_images(RECORDS, measure, description="test", progress=False, **settings))


@pytest.mark.parametrize("processes", [0, 1, 2])
def test_results_come_in_the_order_of_the_images(processes: int) -> None:
    measured = _measured(_number, processes=processes)
    assert [number for number, _ in measured] == list(range(40))
    # The first images tell how long an image takes; so little work is not worth a second process.
    assert {process for _, process in measured} == {os.getpid()}


def test_much_work_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "START_UP", 0.0)
    assert len({process for _, process in _measured(_number, processes=2)}) > 1


def test_sums_are_of_parts() -> None:
    assert _measured(_value, processes=1, summed=True) == [sum(range(16)), sum(range(16, 32)), sum(range(32, 40))]


def test_any_class_is_foreground() -> None:
    target = np.array([[0, 1, 20, 255]], np.uint8)
    assert any_class(target).tolist() == [[0, 1, 1, 255]]
