"""`wsss report --images`: pictures of more images than the stages keep."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fake_data import write_voc
from typer.testing import CliRunner

from wsss_lightning.atomic import write_json
from wsss_lightning.cli import app
from wsss_lightning.data.masks import write_mask
from wsss_lightning.pipeline.store import RECORD
from wsss_lightning.tables.cells import Cell
from wsss_lightning.tables.collect import write_snapshot
from wsss_lightning.tables.image_scores import image_scores
from wsss_lightning.tables.results import Table

VAL = tuple(f"2007_00000{number}" for number in range(4, 9))


@pytest.fixture
def worst(
    cells: list[Cell],
    finish: Callable[..., np.ndarray],
    draw: Callable[..., None],
    collected: Callable[..., Table],
    root: Path,
) -> list[str]:
    """A table of two rows that were evaluated on VOC; returns its images, the worst first."""
    write_voc(root / "voc", val=VAL)
    for cell in (cells[0], cells[2]):
        finish(cell, images=VAL)
        _read_voc(cell.plan.final.folder, root / "voc")
    draw(cells[0].plan.final.folder, cells[0].row, count=1)
    (cells[0].plan.final.folder / "panels" / "val_000000").rename(cells[0].plan.final.folder / "panels" / VAL[2])
    table = collected()
    write_snapshot(table, root)
    return [image_id for image_id in image_scores(table, root / "store").worst(9) if image_id != VAL[2]]


def _read_voc(folder: Path, voc: Path) -> None:
    """The record of an evaluation of masks that say `dog` everywhere."""
    for image_id in VAL:
        write_mask(folder.parent / "predictions-1" / "masks" / f"{image_id}.png", np.full((20, 30), 12, np.uint8))
    data = {"_target_": "wsss_lightning.data.voc.VOCDataModule", "root": "<folder:1>"}
    node = {"_target_": "wsss_lightning.stages.evaluate.evaluate", "data": data, "masks": "<artifact:1>/masks"}
    bindings = {"<folder:1>": str(voc), "<artifact:1>": "predictions-1"}
    record = json.loads((folder / RECORD).read_text())
    write_json(folder / RECORD, record | {"node": node | {"extra_masks": {}}, "bindings": bindings})


def _report(root: Path, *options: str) -> tuple[str, str]:
    done = CliRunner().invoke(app, ["report", str(root), *options])
    assert done.exit_code == 0, done.output
    return done.output, (root / "report.html").read_text()


def _shown(page: str) -> list[str]:
    return re.findall(r'data-image="([^"]+)"', page)


def test_the_worst_are_drawn_beside_what_the_stages_keep(worst: list[str], root: Path) -> None:
    assert _shown(_report(root, "--images", "0")[1]) == [VAL[2]]
    page = _report(root, "--images", "3")[1]
    assert _shown(page) == [VAL[2], *worst[:2]]
    assert "after them the 2 of the others with the lowest IoU" in page
    for image_id in worst[:2]:
        assert f'alt="ground truth of {image_id}"' in page and f'alt="prediction of {image_id}, Diverse"' in page
    assert _shown(_report(root)[1]) == [VAL[2], *worst]
    assert not [path for path in (root / "store").glob("*/panels/*") if path.name != VAL[2]]


def test_without_the_data_set_the_page_is_written_all_the_same(worst: list[str], root: Path) -> None:
    shutil.rmtree(root / "voc")
    said, page = _report(root)
    assert "no further images: " in said and _shown(page) == [VAL[2]]
