"""Numbers per class: the paper's beside ours, as a curve where classes are numbers, and the confusion matrix."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsss_lightning.errors import InputError
from wsss_lightning.tables import confusion, wording
from wsss_lightning.tables.cells import Cell
from wsss_lightning.tables.confusion import confusion_charts
from wsss_lightning.tables.figures import profile_chart
from wsss_lightning.tables.render import table_markdown
from wsss_lightning.tables.report import page
from wsss_lightning.tables.results import Table
from wsss_lightning.tables.spec import read_spec

SPEC = """
title: Per class
source: A paper
metric: val/miou
per_class: {metric: test/iou, names: [background, cat]}
rows:
  - {name: A, paper: 30.7, per_class: [50, 11.4]}
  - {name: B, paper: {test/miou: 20.5}, per_class: [null, 20.5]}
"""


@pytest.fixture
def finished(cells: list[Cell], finish: Callable[..., np.ndarray], collected: Callable[..., Table]) -> Table:
    for cell in cells:
        finish(cell)
    return collected()


def _spec(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "table9.yaml"
    path.write_text(text)
    return path


def test_numbers_per_class_stand_beside_the_papers_others(tmp_path: Path) -> None:
    first, second = read_spec(_spec(tmp_path, SPEC)).rows
    assert first.paper == {"val/miou": 30.7, "test/iou/background": 50.0, "test/iou/cat": 11.4}
    assert second.paper == {"test/miou": 20.5, "test/iou/cat": 20.5}


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("[50, 11.4]", "[50]", "row 1: per_class: give a list of 2 numbers"),
        ("[50, 11.4]", "[50, much]", "'much'; give per cent"),
        ("metric: test/iou, ", "", "per_class: metric is missing"),
        ("names: [", "classes: [", "per_class: unknown key classes"),
        ("metric: val/miou\n", "metric: val/miou\nconfusion: C\n", "confusion 'C' is no row"),
        ("metric: val/miou\n", "metric: val/miou\nprofile: 3\n", "profile is missing: give it as text"),
    ],
)
def test_what_is_wrong_is_said_with_the_file(tmp_path: Path, old: str, new: str, reason: str) -> None:
    assert old in SPEC
    with pytest.raises(InputError, match=reason) as caught:
        read_spec(_spec(tmp_path, SPEC.replace(old, new, 1)))
    assert "table9.yaml" in str(caught.value)


def test_the_papers_numbers_per_class_get_a_column_before_ours(finished: Table, root: Path) -> None:
    printed = {"val/miou": 30.7, "val/iou/cat": 12.3, "val/iou/horse": 45.0}
    table = replace(finished, rows=[replace(finished.rows[0], paper=printed), *finished.rows[1:]])
    columns = wording.class_columns(table)
    assert [name for name, _ in columns] == ["Top, paper", "Top", "Diverse"]
    assert columns[0][1] == pytest.approx({"cat": 0.123, "horse": 0.45})
    assert columns[1][1] == table.rows[0].class_iou()
    (cat,) = (line for line in table_markdown(table).splitlines() if line.startswith("| cat |"))
    assert cat.split("|")[2].strip() == "12.3" and cat.split("|")[3].strip() not in {"-", "12.3"}
    assert "| horse | 45.0 | - | - |" in table_markdown(table)
    assert wording.column_heads(table)[1:3] == ["paper", "ours"]  # no column of the table itself
    assert "Top, paper" in page([table], root)


def test_a_profile_is_a_curve_over_the_numbers_that_classes_are(finished: Table, root: Path) -> None:
    first = finished.rows[0]
    results = [replace(result, iou={"10": 0.5, "2": 0.25, "1": 0.125, "30": None}) for result in first.results]
    heading = replace(finished.heading, metric="val/trimap", profile="width, px")
    table = replace(finished, heading=heading, rows=[replace(first, results=results)])
    chart = profile_chart(table)
    assert chart is not None and chart.axis == "width, px"
    (line,) = chart.lines
    points = [tuple(map(float, point.split(","))) for point in line.points.split()]
    assert [x for x, _ in points] == sorted(x for x, _ in points) and len(points) == 3
    (x1, y1), (x2, y2), (x10, y10) = points
    assert (x10 - x1) / (x2 - x1) == pytest.approx(9, abs=0.1)
    assert (y1 - y10) / (y1 - y2) == pytest.approx(3, abs=0.1)  # 12.5, 25 and 50 per cent, upwards
    assert profile_chart(finished) is None
    text = page([table], root)
    assert "By width, px" in text and "val trimap over width, px" in text
    assert "| width, px | Top |" in table_markdown(table)


def test_the_papers_choice_is_marked_in_a_profile(finished: Table, root: Path) -> None:
    first = finished.rows[0]
    results = [replace(result, iou={"0.25": 0.5, "0.5": 0.25, "0.75": 0.125}) for result in first.results]
    row = replace(first, results=results, paper={"train/threshold": 75.0})
    heading = replace(finished.heading, metric="train/ap", profile="threshold")
    table = replace(finished, heading=heading, rows=[row])
    chart = profile_chart(table)
    assert chart is not None
    (line,), ((place, colour),) = chart.lines, chart.marks
    assert f"{place:.1f}" == line.points.split()[-1].split(",")[0] and colour == line.colour
    assert "dashed: the paper" in page([table], root)
    other = profile_chart(replace(table, rows=[replace(row, paper={"train/ap": 75.0})]))
    assert other is not None and not other.marks


def test_confusion_matrices_are_shares_of_a_true_label(
    finished: Table, cells: list[Cell], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrices = np.zeros((2, 3, 3), np.int64)
    matrices[0], matrices[1, 0] = [[75, 0, 25], [0, 9, 0], [0, 0, 0]], [0, 0, 0]
    matrices[1, 1] = [16, 0, 0]
    np.save(cells[2].plan.final.folder / "confusion.npy", matrices)
    assert [chart.row for chart in confusion_charts(finished, root / "store")] == ["Top", "Diverse"]
    table = replace(finished, heading=replace(finished.heading, confusion="Diverse"))
    chart, other = confusion_charts(table, root / "store")
    assert (chart.row, other.row) == ("Diverse", "Top") and chart.names == ["background", "cat", "dog"]
    assert chart.largest[:2] == ["cat as background 64 %", "background as dog 25 %"]
    assert chart.cells == [[0.75, 0, 0.25], [0.64, 0.36, 0], [0, 0, 0]] and chart.uri is None
    cells_shown = re.findall(r"<td[^>]*>(\d*)</td>", page([table], root).partition("Confusion matrices")[2])
    assert cells_shown[:9] == ["75", "", "25", "64", "36", "", "", "", ""]
    monkeypatch.setattr(confusion, "NUMBERED", 2)
    chart, _ = confusion_charts(table, root / "store")
    assert chart.cells is None and chart.uri is not None
    with Image.open(io.BytesIO(base64.b64decode(chart.uri.partition(",")[2]))) as picture:
        pixels = np.array(picture)
    assert pixels.shape == (3, 3, 3)
    assert (pixels[2] == 255).all()  # no pixel of that label
    order = np.argsort(pixels[..., 0], axis=None)[:4]  # the darker, the more
    assert order.tolist() == [0, 3, 4, 2]
    assert chart.uri in page([table], root)


def test_confusion_matrices_of_one_class_or_that_are_not_there_are_not_drawn(
    finished: Table, cells: list[Cell], root: Path
) -> None:
    np.save(cells[0].plan.final.folder / "confusion.npy", np.ones((2, 2, 2), np.int64))
    for cell in cells[2:]:
        (cell.plan.final.folder / "confusion.npy").unlink()
    assert confusion_charts(finished, root / "store") == []
