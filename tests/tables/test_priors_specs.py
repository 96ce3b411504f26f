"""The tables and figures of the priors paper as their files say them."""

from __future__ import annotations

import pytest

from wsss_lightning.data.coco import COCO_CLASSES
from wsss_lightning.data.voc import VOC_CLASSES
from wsss_lightning.data.yto import YTO_CLASSES
from wsss_lightning.tables.spec import SpecRow, find_spec, read_spec

LABELS = {"table1": VOC_CLASSES, "table2": VOC_CLASSES, "table7": YTO_CLASSES, "table8": COCO_CLASSES}


def rows(table: str) -> list[SpecRow]:
    return read_spec(find_spec(f"priors/{table}")).rows


def printed(table: str, metric: str = "val/miou") -> list[float]:
    return [row.paper[metric] for row in rows(table) if metric in row.paper]


def per_class(row: SpecRow, metric: str) -> dict[str, float]:
    prefix = f"{metric}/iou/"
    return {name.removeprefix(prefix): value for name, value in row.paper.items() if name.startswith(prefix)}


def test_means_are_the_papers() -> None:
    assert printed("table1") == [17.8, 32.6, 36.6, 32.2, 20.8, 38.2, 33.3, 35.3, 50.7, 44.1, 46.6, 48.0, 50.9]
    assert printed("table2", "test/miou") == [35.6, 25.7, 35.8, 37.0, 39.6, 51.5, 45.1, 48.0, 49.6, 52.6]
    val = [37.8, 42.0, 41.9, 35.1, 42.7, 46.1, 43.4, 49.1, 36.4, 42.4, 49.8, 41.9, 51.5, 54.3, 48.0, 50.9]
    assert printed("table3") == val
    assert printed("table3", "test/miou") == [37.0, 40.6, 43.2, 45.1, 51.2, 43.2, 52.9, 55.5, 49.6, 52.6]
    assert printed("table6") == [31.0, 47.3, 48.0, 45.9, 46.6, 49.2, 49.3, 50.9]
    assert printed("table7") == [46.8, 23.9, 15.5, 48.6, 51.6]
    assert printed("table8") == [22.4, 20.4]


@pytest.mark.parametrize(
    ("table", "split", "count"),
    [("table1", "val", 11), ("table2", "test", 8), ("table7", "val", 5), ("table8", "val", 2)],
)
def test_rows_per_class_average_to_their_mean(table: str, split: str, count: int) -> None:
    """The text's columns are jumbled: this is what shows that a row was put together rightly."""
    found = [(row, values) for row in rows(table) if (values := per_class(row, split))]
    assert len(found) == count
    for row, values in found:
        # Numbers are rounded to 0.1, and so is their mean.
        assert sum(values.values()) / len(values) == pytest.approx(row.paper[f"{split}/miou"], abs=0.1), row.name
        assert list(values) in ([*LABELS[table]], ["background", *LABELS[table]]), row.name


def test_potted_plants() -> None:
    plants = {row.experiment: row.paper.get("val/iou/pottedplant") for row in rows("table6")}
    assert {name: value for name, value in plants.items() if value is not None} == {
        "priors/localization_regions": 0.0,
        "priors/fusion_regions": 32.3,
    }
    assert rows("table1")[-1].paper["val/iou/pottedplant"] == 32.3


def test_the_rows_of_ours_are_the_same_experiments_everywhere() -> None:
    names = {"48.0": "priors/foreground_regions", "50.9": "priors/fusion_regions"}
    for table in ("table1", "table2", "table3", "table6"):
        ours = {str(row.paper["val/miou"]): row.experiment for row in rows(table) if row.experiment}
        assert {value: ours[value] for value in names} == names, table


def test_figures_end_in_their_own_stages() -> None:
    ends = {name: {tuple(row.overrides) for row in rows(name)} for name in ("figure7", "figure8", "figure10")}
    assert ends == {
        "figure7": {("result=successes",)},
        "figure8": {("result=failures",)},
        "figure10": {("result=trimap",)},
    }
    heading = read_spec(find_spec("priors/figure10")).heading
    assert heading.per_class == "val/trimap/"
    assert heading.per_class_title == "By width of the band around true boundaries, px"
    assert read_spec(find_spec("priors/table8")).heading.confusion == "Ours (multi-class masks)"
