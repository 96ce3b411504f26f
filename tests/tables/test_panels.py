"""Columns of the image panels; tests/tables/test_report.py sees them in a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsss_lightning.tables.cells import Cell
from wsss_lightning.tables.panels import InlinedPicture, table_panels
from wsss_lightning.tables.results import Table

Folders = tuple[Path, Path]


@pytest.fixture
def folders(cells: list[Cell], finish: Callable[..., np.ndarray], draw: Callable[..., None]) -> Folders:
    """One image's pictures of each of two finished rows."""
    for cell in (cells[0], cells[2]):
        finish(cell)
        draw(cell.plan.final.folder, cell.row, count=1)
    first, second = (cell.plan.final.folder / "panels" / "val_000000" for cell in (cells[0], cells[2]))
    return first, second


def _add(folder: Path, name: str, colour: int, size: tuple[int, int] = (40, 30)) -> None:
    Image.new("RGB", size, (colour, colour, colour)).save(folder / f"{name}.png")


def _size(picture: InlinedPicture) -> tuple[int, int]:
    with Image.open(io.BytesIO(base64.b64decode(picture.uri.partition(",")[2]))) as image:
        return image.size


def test_columns_are_in_the_order_of_figure_4_and_unknown_ones_follow(
    folders: Folders, collected: Callable[..., Table], root: Path
) -> None:
    for name in ("another_mask", "before_crf", "thresholded"):
        _add(folders[1], name, 128)
    for stray in (folders[0] / ".steps.7.png", folders[0] / ".writing-1" / "a.png", folders[1].parent / ".x" / "a.png"):
        stray.parent.mkdir(exist_ok=True)  # of processes that were killed while they wrote
        stray.write_bytes(b"half a picture")
    (panel,) = table_panels(collected(), root / "store").panels
    assert [picture.what for picture in panel.rows[0]] == ["sampled points", "prediction"]
    assert [picture.what for picture in panel.rows[1]] == [
        "sampled points",
        "thresholded score maps",
        "before the CRF",
        "prediction",
        "another mask",
    ]
    assert [picture.kind for picture in panel.rows[1]] == ["drawn", "labels", "labels", "labels", "labels"]
    assert [picture.kind for picture in panel.shared] == ["photo", "labels", "drawn"]
    assert panel.rows[1][2].uri.startswith("data:image/png")


def test_steps_stand_once_unless_rows_draw_different_ones(
    folders: Folders, collected: Callable[..., Table], root: Path
) -> None:
    def shown() -> list[bool]:
        (panel,) = table_panels(collected(), root / "store").panels
        return [any(p.kind == "wide" for p in pictures) for pictures in (panel.shared, *panel.rows)]

    assert shown() == [False, False, False]
    _add(folders[1], "steps", 10)
    assert shown() == [True, False, False]
    _add(folders[0], "steps", 200)
    assert shown() == [False, True, True]
    _add(folders[0], "steps", 10)
    assert shown() == [True, False, False]


def test_an_image_that_one_of_two_rows_has_stands_in_its_row(
    folders: Folders, collected: Callable[..., Table], root: Path
) -> None:
    own = folders[1].parent / "val_000007"
    own.mkdir()
    _add(own, "image", 50)
    _add(own, "inference", 10)
    _, panel = table_panels(collected(), root / "store").panels
    assert [picture.what for picture in panel.shared] == ["image"]
    assert [len(pictures) for pictures in panel.rows] == [0, 1] and panel.rows[1][0].kind == "wide"


def test_steps_keep_twice_the_size_of_other_pictures(
    folders: Folders, collected: Callable[..., Table], root: Path
) -> None:
    _add(folders[0], "steps", 10, size=(1600, 800))
    _add(folders[0], "thresholded", 10, size=(1600, 800))
    (panel,) = table_panels(collected(), root / "store").panels
    sizes = {picture.what: _size(picture) for picture in [*panel.shared, *panel.rows[0]]}
    assert sizes["thresholded score maps"] == (480, 240)
    assert next(size for what, size in sizes.items() if "steps" in what) == (960, 480)
