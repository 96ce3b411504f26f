import base64
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.store import RECORD
from wsss_lightning.tables.cells import Cell
from wsss_lightning.tables.collect import write_snapshot
from wsss_lightning.tables.figures import bar_chart, curve_charts, ticks
from wsss_lightning.tables.panels import table_panels
from wsss_lightning.tables.pictures import inline, legend
from wsss_lightning.tables.report import page as write_page
from wsss_lightning.tables.report import write_report
from wsss_lightning.tables.results import Table

Finish = Callable[..., np.ndarray]
Collect = Callable[..., Table]
Draw = Callable[..., None]
_VOID = {"meta", "img", "br", "link", "input"}
_VOID_SVG = {"line", "rect", "path", "polyline"}


class _Page(HTMLParser):
    """Checks that elements close in order, and keeps attributes and the text of table rows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID | _VOID_SVG:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def _write_curves(folder: Path, values: list[float]) -> None:
    path = folder / "logs" / "version_0" / "metrics.csv"
    path.parent.mkdir(parents=True)
    lines = [f"0,{10 * number + 9},{value}," for number, value in enumerate(values)]
    path.write_text("\n".join(["epoch,step,train/loss,val/tag_ap", *lines, f"0,{10 * len(values)},,0.5", ""]))


@pytest.fixture
def reported(cells: list[Cell], finish: Finish, draw: Draw, collected: Collect, root: Path) -> Path:
    """A report of two finished rows with pictures and curves."""
    for cell in cells:
        finish(cell)
    for cell in (cells[0], cells[2]):
        draw(cell.plan.final.folder, cell.row)
    _write_curves(cells[0].plan.stages["localizers"].folder, [1.0, 0.5])
    write_snapshot(collected(notes=["reduced"]), root)
    return write_report(root)


@pytest.fixture
def page(reported: Path) -> _Page:
    return _Page(reported.read_text(encoding="utf-8"))


def test_the_page_needs_nothing_else(reported: Path, page: _Page) -> None:
    text = reported.read_text(encoding="utf-8")
    assert not re.search(r"(src|href|url\(|@import)[^>]{0,4}(https?:|//)", text)
    assert not page.all("iframe") and all("src" not in script for script in page.all("script"))
    assert [link["href"] for link in page.all("link")] == ["data:,"]
    assert page.all("meta")[3]["content"].startswith("default-src 'none'; img-src data:;")
    assert all((image["src"] or "").startswith("data:image/") for image in page.all("img"))


def test_a_row_links_to_what_stands_behind_it(page: _Page, cells: list[Cell], collected: Collect, root: Path) -> None:
    links = [link["href"] or "" for link in page.all("a")]
    ids = {attributes.get("id") for _, attributes in page.elements}
    assert {"#table-1-row-1", "#table-1-row-2"} <= set(links) and {link[1:] for link in links if link[0] == "#"} <= ids
    records = [link for link in links if not link.startswith("#")]
    assert f"store/{cells[0].plan.final.folder.name}/{RECORD}" in records
    assert all((root / link).is_file() for link in records)
    assert "wsss run experiment=points/top backbone.weights=null" in page.text
    assert f"wsss rerun {cells[0].plan.final.folder / RECORD}" in page.text
    assert not re.search(r'href="[^#d]', write_page([collected()], root))  # a page that may lie anywhere


def test_the_page_is_accessible(page: _Page) -> None:
    assert page.all("html")[0]["lang"] == "en"
    assert page.all("meta")[1]["name"] == "viewport"
    assert all(image["alt"] for image in page.all("img"))
    assert all(button.get("type") == "button" for button in page.all("button"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(chart["role"] == "img" and chart["aria-labelledby"] for chart in page.all("svg"))
    assert all(head.get("scope") for head in page.all("th"))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {chart["aria-labelledby"] for chart in page.all("svg")} <= set(ids)


def test_its_numbers_are_the_records_times_100(page: _Page, collected: Collect) -> None:
    table = collected()
    top = table.rows[0]
    assert top.mean is not None and top.std is not None
    row = next(row for row in page.rows if row and row[0] == "Top")
    assert row[1:3] == ["30.7", f"{100 * top.mean:.1f} ± {100 * top.std:.1f} (n = 2)†"]
    cat = next(row for row in page.rows if row and row[0] == "cat")
    assert cat[1:] == [f"{100 * (row.class_iou()['cat'] or 0):.1f}" for row in table.rows[:2]]
    evaluation = next(row for row in page.rows if row and row[0] == "evaluation")
    assert evaluation[1:] == ["2.5 s", top.results[0].key[:16]]


def test_an_image_has_its_own_pictures_once_and_those_of_every_row(page: _Page) -> None:
    found = [image["alt"] for image in page.all("img") if "val_000001" in (image["alt"] or "")]
    assert found == [
        "image of val_000001",
        "ground truth of val_000001",
        "score map of val_000001",
        "sampled points of val_000001, Top",
        "prediction of val_000001, Top",
        "sampled points of val_000001, Diverse",
        "prediction of val_000001, Diverse",
    ]


def test_score_maps_that_differ_stand_with_their_rows(
    cells: list[Cell], finish: Finish, draw: Draw, collected: Collect, root: Path
) -> None:
    for cell in cells:
        finish(cell)
        draw(cell.plan.final.folder, cell.row, count=1)
    panel = cells[0].plan.final.folder / "panels" / "val_000000"
    (panel / "image.png").replace(panel / "scores.png")
    (found,) = table_panels(collected(), root / "store").panels
    assert [picture.what for picture in found.shared] == ["image", "ground truth"]
    assert [[picture.what for picture in row] for row in found.rows] == [
        ["score map", "sampled points", "prediction"],
        ["score map", "sampled points", "prediction"],
    ]


def test_big_pictures_are_shrunk_and_label_maps_keep_their_colours(tmp_path: Path) -> None:
    mask = np.zeros((600, 1000, 3), np.uint8)
    mask[:, 500:] = (128, 0, 0)
    for name in ("prediction", "image"):
        Image.fromarray(mask).save(tmp_path / f"{name}.png")
    kinds = {}
    for name in ("prediction", "image"):
        head, _, code = (inline(tmp_path / f"{name}.png") or "").partition(",")
        with Image.open(io.BytesIO(base64.b64decode(code))) as picture:
            assert picture.size == (480, 288)
            kinds[name] = (head, sorted(picture.getcolors(maxcolors=480 * 288) or []))
    # Background is transparent: a label map lies over the image.
    colours = [(69120, (0, 0, 0, 0)), (69120, (128, 0, 0, 255))]
    assert kinds["prediction"] == ("data:image/png;base64", colours)
    assert kinds["image"][0] == "data:image/jpeg;base64"
    assert inline(tmp_path / "none.png") is None


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "image.png").write_text("no picture")
    with pytest.raises(InputError, match=r"image\.png is damaged"):
        inline(tmp_path / "image.png")


def test_the_legend_shows_the_palette(tmp_path: Path) -> None:
    (tmp_path / "classes.json").write_text(json.dumps({"names": ["background", "cat"]}))
    expected = [("background", "#000000"), ("cat", "#800000"), ("not counted", "#e0e0c0")]
    assert legend(tmp_path) == expected
    (tmp_path / "classes.json").write_text(json.dumps({"names": ["background", "cat"], "indices": [0, 8]}))
    assert legend(tmp_path)[1] == ("cat", "#400000")
    (tmp_path / "classes.json").write_text("{}")
    with pytest.raises(InputError, match=r"classes\.json is damaged"):
        legend(tmp_path)


def test_without_indices_kept_classes_have_no_legend(tmp_path: Path) -> None:
    (tmp_path / "classes.json").write_text(json.dumps({"names": ["background", "cat"]}))
    (tmp_path / RECORD).write_text(json.dumps({"node": {"data": {"classes": ["cat"]}}}))
    assert legend(tmp_path) == []


def test_a_table_with_an_axis_is_drawn_as_a_curve(swept: Table, root: Path) -> None:
    write_snapshot(swept, root)
    text = write_report(root).read_text()
    page = _Page(text)
    head = next(row for row in page.rows if row and row[0] == "row")
    assert head[1:4] == ["k, points per class and image", "paper", "paper test/miou"]
    assert [row[1:4] for row in page.rows if row and row[0] == "Diverse¹"] == [["5", "40.6", "41.2"]]
    assert [chart["aria-labelledby"] for chart in page.all("svg")] == ["table-1-sweep", "table-1-graph"]
    assert "Line chart of val mIoU, per cent, over k, points per class and image:\nTop: paper 30.7, ours " in text
    assert len(page.all("circle")) == 4  # two rows, the paper's number and ours of each
    assert [line["class"] for line in page.all("line") if "level" in (line["class"] or "")] == ["level paper"]
    assert ">Printed only, paper</text>" in text
    assert "paper, VOC 2012 val, VGG-16</span>" in text and "ours, shapes, tiny</span>" in text
    assert "error bars: ± one standard deviation over seeds" in text


def test_what_has_gone_from_the_store_is_missing(reported: Path, cells: list[Cell], root: Path) -> None:
    number = next(row for row in _Page(reported.read_text()).rows if row and row[0] == "Top")[2]
    for cell in cells[:2]:
        (cell.plan.final.folder / RECORD).unlink()
    page = _Page(write_report(root).read_text())
    row = next(row for row in page.rows if row and row[0] == "Top")
    assert row[2:] == ["missing", "-", "2 missing (gone since it was collected)"]
    assert number not in (root / "report.html").read_text()


def test_differences_to_a_row_that_has_gone_go_too(reported: Path, cells: list[Cell], root: Path) -> None:
    for cell in cells[2:]:
        (cell.plan.final.folder / RECORD).unlink()
    row = next(row for row in _Page(write_report(root).read_text()).rows if row and row[0] == "Top")
    assert row[3] == "-" and row[2] != "missing"


def test_names_are_escaped(collected: Collect, root: Path) -> None:
    write_snapshot(collected(notes=["<script>alert(1)</script>"]), root)
    text = write_report(root).read_text()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


def test_without_a_table_there_is_no_report(root: Path) -> None:
    with pytest.raises(InputError, match=r"run `wsss table points/table2` first"):
        write_report(root)


def test_several_tables_are_listed_first(collected: Collect, root: Path) -> None:
    table = collected()
    for number in range(2):
        path = write_snapshot(table, root)
        path.rename(path.with_name(f"{number}.json"))
    page = _Page(write_report(root).read_text())
    assert [link["href"] for link in page.all("a")] == ["#tables", "#table-1", "#table-2"]
    assert [section["id"] for section in page.all("section")] == ["table-1", "table-2"]


def test_bars_are_as_long_as_their_numbers(cells: list[Cell], finish: Finish, collected: Collect) -> None:
    for cell in cells:
        finish(cell)
    table = collected()
    chart = bar_chart(table)
    position, label = chart.ticks[-1]
    scale = position / float(label)
    top = table.rows[0]
    assert top.mean is not None and top.std is not None
    paper, ours = chart.groups[0].bars
    assert (paper.kind, paper.text, paper.whisker) == ("paper", "30.7", None)
    assert paper.width == pytest.approx(30.7 * scale)
    assert ours.width == pytest.approx(100 * top.mean * scale)
    ends = [100 * (top.mean - top.std) * scale, 100 * (top.mean + top.std) * scale]
    assert ours.whisker == pytest.approx(tuple(ends))
    assert [bar.kind for bar in chart.groups[2].bars] == ["paper"]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 40.6, [0, 10, 20, 30, 40, 50]),
        (0.0, 100.0, [0, 20, 40, 60, 80, 100]),
        (0.2, 1.4, [0, 0.5, 1, 1.5]),
        (5.0, 5.0, [5, 6]),
        (0.0, 0.0, [0, 0.2]),
    ],
)
def test_ticks_are_round_and_enclose(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == expected
    assert expected[0] <= low <= high <= expected[-1]


def test_a_stage_that_rows_share_is_one_curve(
    cells: list[Cell], finish: Finish, collected: Collect, root: Path
) -> None:
    for cell in cells:
        finish(cell)
    _write_curves(cells[0].plan.stages["localizers"].folder, [1.0, 0.5])
    for cell in (cells[0], cells[2]):
        _write_curves(cell.plan.stages["classifier"].folder, [1.0, 0.5, 0.25])
    charts = {chart.title: [line.name for line in chart.lines] for chart in curve_charts(collected(), root / "store")}
    assert charts == {"localizers: train/loss": ["all rows"], "classifier: train/loss": ["Top", "Diverse"]}


def test_tables_need_no_torch() -> None:
    modules = ["report", "render", "collect", "cells", "saving"]
    imports = "; ".join(f"import wsss_lightning.tables.{name}" for name in modules)
    check = "import sys; assert not {'torch', 'pytorch_lightning', 'wandb'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", f"{imports}; {check}"], check=True)
