"""The tables and figures of the coseg paper as their files say them."""

from __future__ import annotations

import pytest

from wsss_lightning.data.voc import VOC_CLASSES
from wsss_lightning.tables.spec import SpecRow, find_spec, read_spec


def rows(table: str) -> list[SpecRow]:
    return read_spec(find_spec(f"coseg/{table}")).rows


def printed(table: str, metric: str = "val/miou") -> list[float]:
    return [row.paper[metric] for row in rows(table) if metric in row.paper]


def test_means_are_the_papers() -> None:
    assert printed("table1") == [35.3, 50.7, 49.8, 56.4]
    assert printed("table1", "test/miou") == printed("table1_test", "test/miou") == [35.6, 51.7, 39.6, 51.2, 56.9]
    assert printed("table2") == [63.1, 62.0, 62.1, 55.7, 54.3, 46.1, 35.3, 50.7, 49.8, 56.4]
    assert printed("table2", "test/miou") == [64.6, 62.5, 56.7, 55.5, 35.6, 51.7, 39.6, 51.2, 56.9]
    assert printed("table3") == [48.3, 53.3, 55.1, 56.4]


@pytest.mark.parametrize(("table", "split", "count"), [("table1", "val", 4), ("table1_test", "test", 5)])
def test_rows_per_class_average_to_their_mean(table: str, split: str, count: int) -> None:
    prefix, found = f"{split}/iou/", 0
    for row in rows(table):
        values = {name.removeprefix(prefix): value for name, value in row.paper.items() if name.startswith(prefix)}
        if values:
            found += 1
            assert list(values) == ["background", *VOC_CLASSES]
            # Numbers are rounded to 0.1, and so is their mean.
            assert sum(values.values()) / 21 == pytest.approx(row.paper[f"{split}/miou"], abs=0.1), row.name
    assert found == count


def test_steps_of_the_method_are_the_same_experiments_everywhere() -> None:
    names = ["generator", "simple", "multi_label", "full"]
    assert [row.experiment for row in rows("table3")] == [f"coseg/{name}" for name in (*names, "ceiling")]
    for table in ("table1", "table1_test", "table2"):
        assert [row.experiment for row in rows(table) if row.experiment] == ["coseg/full"]


def test_the_share_of_wrong_images_is_the_axis() -> None:
    found = rows("noise")
    assert [row.x for row in found] == [0, 10, 20, 40]
    for row in found:
        assert row.overrides == [f"+coseg.wrong={(row.x or 0) / 100}"]
    assert read_spec(find_spec("coseg/noise")).heading.axis is not None


def test_tables_of_photographs_are_of_a_frozen_trunk() -> None:
    for table in ("photographs", "photographs_masks", "photographs_labels"):
        for row in rows(table):
            assert row.experiment == "points/floor" or "ablation=coseg/photographs" in row.overrides
    assert [row.experiment for row in rows("photographs")][-1] == "coseg/ceiling"
