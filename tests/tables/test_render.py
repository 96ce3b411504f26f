import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from wsss_lightning.metrics.segmentation import iou
from wsss_lightning.pipeline.store import RECORD
from wsss_lightning.tables import cards, wording
from wsss_lightning.tables.cells import Cell, needed
from wsss_lightning.tables.collect import collect
from wsss_lightning.tables.render import print_table, show_stages, table_markdown
from wsss_lightning.tables.results import Difference, Table
from wsss_lightning.tables.spec import Spec

AXIS = "k, points per class and image"
Finish = Callable[..., np.ndarray]
Collect = Callable[..., Table]


@pytest.fixture
def complete(cells: list[Cell], finish: Finish, collected: Collect) -> Table:
    for cell in cells:
        finish(cell)
    return collected(notes=["reduced: 12 images"])


def _text(table: Table, width: int = 160) -> str:
    stream = io.StringIO()
    print_table(table, Console(file=stream, width=width))
    return stream.getvalue()


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.sub("[│┃]", "|", line).strip("|\n ").split("|")]


def _row(text: str, name: str) -> list[str]:
    return next(_cells(line) for line in text.splitlines() if _cells(line)[0] == name)


@pytest.mark.parametrize("form", [_text, table_markdown], ids=["text", "markdown"])
def test_numbers_are_the_records_times_100(complete: Table, form: Callable[[Table], str]) -> None:
    top = complete.rows[0]
    assert top.mean is not None and top.std is not None and top.difference is not None
    assert top.difference.low is not None and top.difference.high is not None
    assert _row(form(complete), "Top") == [
        "Top",
        "30.7",
        f"{100 * top.mean:.1f} ± {100 * top.std:.1f} (n = 2)†",
        f"{100 * top.difference.value:+.1f} [{100 * top.difference.low:+.1f}, {100 * top.difference.high:+.1f}]",
        "2 computed",
    ]


@pytest.mark.parametrize("form", [_text, table_markdown], ids=["text", "markdown"])
def test_what_stands_around_the_numbers(complete: Table, form: Callable[[Table], str]) -> None:
    text = form(complete)
    assert _row(text, "Diverse¹")[3] == "reference"
    assert _row(text, "Printed only") == ["Printed only", "15.0", "-", "-", "paper only"]
    assert "† reduced: 12 images" in text
    assert "¹ as in the text" in text
    assert "NOT comparable" in text
    assert "Chosen on: localizer rate on held-out tags" in text
    assert _row(text, "seed")[1] == "0, 1"
    assert _row(text, "tags at inference")[1] == "no"
    assert "95 % paired bootstrap interval of the difference to Diverse for the mean over seeds 0, 1" in " ".join(
        text.split()
    )


@pytest.mark.parametrize("form", [_text, table_markdown], ids=["text", "markdown"])
def test_a_missing_artifact_shows_no_number(
    cells: list[Cell], finish: Finish, collected: Collect, form: Callable[[Table], str]
) -> None:
    for cell in cells:
        finish(cell)
    stale = _row(form(collected()), "Top")[2]
    for cell in cells[:2]:
        (cell.plan.final.folder / RECORD).unlink()
    text = form(collected())
    assert stale not in text
    assert _row(text, "Top") == ["Top", "30.7", "missing", "-", "2 missing"]


@pytest.mark.parametrize("form", [_text, table_markdown], ids=["text", "markdown"])
def test_an_axis_and_the_papers_other_numbers_have_columns(swept: Table, form: Callable[[Table], str]) -> None:
    text = form(swept)
    assert _row(text, "row")[:5] == ["row", AXIS, "paper", "paper test/miou", "ours"]
    assert _row(text, "Top")[:4] == ["Top", "20", "30.7", "-"]
    assert _row(text, "Diverse¹")[:4] == ["Diverse¹", "5", "40.6", "41.2"]
    assert _row(text, "Printed only") == ["Printed only", "-", "15.0", "-", "-", "-", "paper only"]
    assert "¹ as in the text" in text


@pytest.mark.parametrize("form", [_text, table_markdown], ids=["text", "markdown"])
def test_further_metrics_have_columns(
    spec: Spec, cells: list[Cell], finish: Finish, root: Path, form: Callable[[Table], str]
) -> None:
    """Of Top one seed is missing, of Diverse none."""
    matrices = [finish(cell) for cell in cells[1:]]
    further = replace(spec, heading=replace(spec.heading, also=["val/iou/cat", "val/iou/dog"]))
    text = form(collect(further, [], cells, root=root, failures={}, notes=[]))
    assert _row(text, "row")[:5] == ["row", "paper", "our val/iou/cat", "our val/iou/dog", "ours"]
    cats = [100 * float(iou(torch.from_numpy(each.sum(axis=0)))[1]) for each in matrices]
    assert _row(text, "Top")[2] == f"{cats[0]:.1f}"
    assert _row(text, "Diverse¹")[2] == f"{np.mean(cats[1:]):.1f} ± {np.std(cats[1:], ddof=1):.1f}"
    assert _row(text, "Printed only")[2:4] == ["-", "-"]


@pytest.mark.parametrize("form", [_text, table_markdown], ids=["text", "markdown"])
def test_the_papers_iou_of_a_class_has_no_column(complete: Table, form: Callable[[Table], str]) -> None:
    rows = [replace(complete.rows[0], paper={"val/miou": 30.7, "val/iou/cat": 20.5}), *complete.rows[1:]]
    assert _row(form(replace(complete, rows=rows)), "row")[:3] == ["row", "paper", "ours"]


def test_no_word_and_no_number_is_cut_on_a_narrow_terminal(swept: Table) -> None:
    named = replace(swept.rows[0], name="Global softmax, fc7 added to the localizer")
    text = _text(replace(swept, rows=[named, *swept.rows[1:]]), width=80)
    assert "…" not in text
    assert named.mean is not None and f"{100 * named.mean:.1f} ± " in text
    assert "│ localizer " in text


@pytest.mark.parametrize(("value", "shown"), [(None, "-"), (46.0, "46.0"), (25.66, "25.66"), (0.0, "0.0")])
def test_the_papers_numbers_keep_their_decimals(value: float | None, shown: str) -> None:
    assert wording.printed(value) == shown


def test_some_missing_seeds_are_counted(cells: list[Cell], finish: Finish, collected: Collect) -> None:
    finish(cells[0])
    text = _text(collected())
    assert _row(text, "Top")[2].endswith("(n = 1 of 2)")
    assert _row(text, "Top")[4] == "1 computed; 1 missing"
    assert "add --run" in text


def test_markdown_holds_classes_runs_and_the_command(complete: Table) -> None:
    text = table_markdown(complete)
    iou = [row.class_iou()["cat"] for row in complete.rows[:2]]
    assert _row(text, "cat") == ["cat", *(f"{100 * value:.1f}" for value in iou if value is not None)]
    result = complete.rows[0].results[0]
    assert f"| Top | 0 | {100 * (result.value or 0):.1f} | `{result.key[:16]}` |" in text
    assert f"`{complete.command}`; written by the collector, never by hand." in text


def test_a_bar_in_a_name_does_not_break_markdown(complete: Table) -> None:
    rows = [replace(complete.rows[0], name="a|b"), *complete.rows[1:]]
    assert r"| a\|b | 30.7 |" in table_markdown(replace(complete, rows=rows))


def test_changed_code_is_marked(cells: list[Cell], finish: Finish, collected: Collect) -> None:
    finish(cells[0])
    path = cells[0].plan.final.folder / RECORD
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"sources": {**record["sources"], "wsss_lightning/gone.py": "0"}}))
    text = _text(collected())
    assert _row(text, "Top")[4] == "1 code changed; 1 missing"
    assert "Code changed since these runs: " in text and "gone.py" in text


def test_many_changed_files_are_counted_by_folder(cells: list[Cell], finish: Finish, collected: Collect) -> None:
    finish(cells[0])
    path = cells[0].plan.final.folder / RECORD
    gone = {f"wsss_lightning/{folder}/{number}.py": "0" for folder in ("one", "two") for number in range(7)}
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"sources": record["sources"] | gone}))
    told = "Code changed since these runs: wsss_lightning/one (7), wsss_lightning/two (7)."
    assert told in table_markdown(collected())


@pytest.mark.parametrize("width", [80, 100])
def test_numbers_are_whole_on_a_narrow_terminal(complete: Table, width: int) -> None:
    top = complete.rows[0]
    assert top.mean is not None and top.std is not None
    assert f"{100 * top.mean:.1f} ± {100 * top.std:.1f} (n = 2)†" in _text(complete, width=width)
    assert "…" not in _text(complete, width=width)


def test_columns_may_be_compared_on_the_papers_data_and_backbone(complete: Table) -> None:
    same = replace(complete, comparable=True, data="voc", backbone="vgg16", overrides=["data=voc", "seed=0"])
    assert wording.setting(same).endswith("the two columns may be compared.")
    fewer = replace(same, overrides=["data=voc", "data.classes=[cat]"])
    assert wording.setting(fewer).endswith("may be compared, as far as these overrides allow.")
    assert "data.classes=[cat]" in wording.setting(fewer)


def test_cards_that_differ_name_their_rows(complete: Table) -> None:
    top = complete.rows[0]
    results = [replace(result, card=result.card | {"crf": {"_target_": "a.b.crf", "k": 3}}) for result in top.results]
    card = dict(cards.card(replace(complete, rows=[replace(top, results=results), *complete.rows[1:]])))
    assert card["crf"] == "crf: k 3 (Top); not stated (Diverse)"
    assert card["supervision"] == "image tags"


def test_intervals_over_different_seeds_are_told_apart(complete: Table) -> None:
    rows = [
        replace(complete.rows[0], difference=Difference(0.1, 0.05, 0.15, seeds=[0, 1], images=12, over_seeds=True)),
        complete.rows[1],
        replace(complete.rows[2], difference=Difference(0.1, 0.05, 0.15, seeds=[1], images=12)),
    ]
    notes = [note for note in wording.footnotes(replace(complete, rows=rows)) if note.startswith("Brackets")]
    assert [note.split(":")[0] for note in notes] == ["Brackets of Top", "Brackets of Printed only"]
    assert "over the choice of the 12 val images and of the seeds" in notes[0]
    assert "another seed" not in notes[0]
    assert "for seed 1" in notes[1] and "images alone" in notes[1] and "another seed is not covered" in notes[1]


@pytest.mark.parametrize(("metric", "images"), [("val/miou", "12 val images"), ("train/miou", "12 training images")])
def test_intervals_name_the_images_that_were_scored(complete: Table, metric: str, images: str) -> None:
    rows = [replace(complete.rows[0], difference=Difference(0.1, 0.05, 0.15, seeds=[0], images=12))]
    found = wording.footnotes(replace(complete, rows=rows, heading=replace(complete.heading, metric=metric)))
    assert sum(f"over the choice of the {images} " in note for note in found) == 1


@pytest.mark.parametrize(
    ("fraction", "signed", "shown"),
    [
        (0.3072, False, "30.7"),
        (None, False, "-"),
        (1.0, False, "100.0"),
        (-0.0004, True, "+0.0"),
        (0.0991, True, "+9.9"),
    ],
)
def test_percent(fraction: float | None, signed: bool, shown: str) -> None:
    assert wording.percent(fraction, signed=signed) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(None, "-"), (1.25, "1.2 s"), (119.0, "119.0 s"), (180.0, "3.0 min"), (9000.0, "2.5 h")]
)
def test_duration(seconds: float | None, shown: str) -> None:
    assert wording.duration(seconds) == shown


def test_metric_names_in_prose() -> None:
    assert [wording.metric(name) for name in ("val/miou", "val/pixel_accuracy")] == ["val mIoU", "val pixel accuracy"]


def test_stages_are_shown_with_the_rows_that_need_them(cells: list[Cell], finish: Finish) -> None:
    finish(cells[0])
    stream = io.StringIO()
    show_stages(needed(cells), Console(file=stream, width=160))
    features, points = _row(stream.getvalue(), "features"), _row(stream.getvalue(), "points")
    assert (features[2], features[3]) == ("cached", "all")
    assert points[3] == "Top"
    assert [_cells(line)[2] for line in stream.getvalue().splitlines() if "evaluation" in line].count("to run") == 3
