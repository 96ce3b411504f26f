"""Fake finished stages below a temporary store, under the keys that `pipeline.plan` gives: no stage runs here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from wsss_lightning import pipeline
from wsss_lightning.atomic import write_json
from wsss_lightning.data.masks import colorize
from wsss_lightning.pipeline.store import RECORD, source_hashes
from wsss_lightning.tables.cells import Cell, plan_cells
from wsss_lightning.tables.collect import collect
from wsss_lightning.tables.results import Table
from wsss_lightning.tables.spec import Spec, read_spec

NAMES = ("background", "cat", "dog")
RIGHT = {"Top": 0.62, "Diverse": 0.78}  # share of pixels that a fake row gets right
IMAGES = tuple(f"val_{number:06d}" for number in range(12))
SPEC = """
title: Samplings
source: A paper, Table 9
metric: val/miou
setting: {text: "VOC 2012 val, VGG-16", choices: {data: voc, backbone: vgg16}}
scale: Per cent in the paper.
reference: Diverse
rows:
  - {name: Top, experiment: points/top, paper: 30.7}
  - {name: Diverse, experiment: points/diverse, paper: 40.6, footnote: as in the text}
  - {name: Printed only, paper: 15.0}
"""
AXIS = "k, points per class and image"
OVERRIDES = ["backbone.weights=null", "seed=0,1"]

Finish = Callable[..., np.ndarray]
Collect = Callable[..., Table]


@pytest.fixture(scope="session")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Spec, list[Cell]]:
    """The rows above under two seeds as the real pipeline plans them."""
    root = tmp_path_factory.mktemp("planned")
    (root / "points").mkdir()
    path = root / "points" / "table9.yaml"
    path.write_text(SPEC)
    spec = read_spec(path)
    return spec, plan_cells(spec, [*OVERRIDES, f"paths.root={root}"])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where runs of a test are."""
    return tmp_path / "runs"


@pytest.fixture
def cells(planned: tuple[Spec, list[Cell]], root: Path) -> list[Cell]:
    """The planned cells with a store of the test's own: no folder enters a key."""
    return [_moved(cell, root / "store") for cell in planned[1]]


def _moved(cell: Cell, store: Path) -> Cell:
    stages = {name: replace(stage, folder=store / stage.folder.name) for name, stage in cell.plan.stages.items()}
    return replace(cell, plan=replace(cell.plan, stages=stages))


@pytest.fixture
def spec(planned: tuple[Spec, list[Cell]], tmp_path: Path) -> Spec:
    """The table of the rows above, in a folder of the test's own."""
    (tmp_path / "points").mkdir()
    return replace(planned[0], path=tmp_path / "points" / "table9.yaml")


@pytest.fixture
def collected(spec: Spec, cells: list[Cell], root: Path) -> Collect:
    """Collect the table as it stands."""

    def collect_now(*, notes: Sequence[str] = (), failures: Mapping[str, str] | None = None) -> Table:
        overrides = [*OVERRIDES, f"paths.root={root}"]
        return collect(spec, overrides, cells, root=root, failures=failures or {}, notes=list(notes))

    return collect_now


@pytest.fixture
def swept(cells: list[Cell], finish: Finish, collected: Collect) -> Table:
    """The finished table as a curve of two points and a level, the paper's number on the level alone."""
    for cell in cells:
        finish(cell)
    table = collected()
    top, diverse, printed = table.rows
    rows = [replace(top, x=20.0), replace(diverse, x=5.0, paper={"val/miou": 40.6, "test/miou": 41.2}), printed]
    return replace(table, heading=replace(table.heading, axis=AXIS), rows=rows)


@pytest.fixture
def finish() -> Finish:
    """Write the records of all stages of a cell, and what `evaluate` leaves behind; returns its matrices."""

    def finish_cell(cell: Cell, *, images: Sequence[str] = IMAGES) -> np.ndarray:
        matrices = matrices_of(cell.row, cell.seed, right=RIGHT[cell.row], count=len(images))
        for number, stage in enumerate(cell.plan.stages.values()):
            _write_record(stage, {}, cell.plan.card, seconds=1.5 + number)
        _write_record(cell.plan.final, metrics_of(matrices), cell.plan.card, seconds=2.5)
        _write_evaluation(cell.plan.final.folder, matrices, images)
        return matrices

    return finish_cell


@pytest.fixture
def record() -> Callable[..., None]:
    """Write the record of one stage: the stage, its metrics, its card and `seconds`."""
    return _write_record


@pytest.fixture
def draw() -> Callable[..., None]:
    """See `write_panels`."""
    return write_panels


def matrices_of(row: str, seed: int, *, right: float, count: int) -> np.ndarray:
    """(N, L, L) int64: every image has about 900 pixels, of which a share `right` lies on the diagonal."""
    generator = np.random.default_rng([seed, *map(ord, row)])
    totals = generator.integers(50, 600, size=(count, len(NAMES)))
    errors = [generator.dirichlet(np.ones(len(NAMES)), size=count) for _ in NAMES]
    shares = (1 - right) * np.stack(errors, axis=1) + right * np.eye(len(NAMES))
    return np.round(shares * totals[..., None]).astype(np.int64)


def metrics_of(matrices: np.ndarray) -> dict[str, float]:
    """What the evaluation stage reports, one label at a time."""
    total, iou = matrices.sum(axis=0), {}
    for label, name in enumerate(NAMES):
        union = total[label].sum() + total[:, label].sum() - total[label, label]
        iou[f"val/iou/{name}"] = float(total[label, label] / union)
    return {"val/miou": sum(iou.values()) / len(iou), **iou}


def _write_record(
    stage: pipeline.PlannedStage, metrics: dict[str, float], card: dict[str, object], *, seconds: float
) -> None:
    record = {
        "stage": stage.name,
        "key": stage.key,
        "node": stage.node,
        "upstream": stage.upstream,
        "metrics": metrics,
        "card": card,
        "wall_seconds": seconds,
        "peak_memory_bytes": 2_000_000_000,
        "finished": "2026-01-02T03:04:05+00:00",
        "packages": {"numpy": "2.0.0"},
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "device": "CPU, fake",
        "cores": 2,
        "sources": source_hashes(stage.node),
    }
    write_json(stage.folder / RECORD, record)


def _write_evaluation(folder: Path, matrices: np.ndarray, images: Sequence[str]) -> None:
    np.save(folder / "confusion.npy", matrices)
    (folder / "images.json").write_text(json.dumps(list(images)))
    (folder / "classes.json").write_text(json.dumps({"names": list(NAMES), "iou": [], "pixels": []}))


def write_panels(folder: Path, row: str, *, count: int = 2, size: tuple[int, int] = (200, 150)) -> None:
    """Pictures as `evaluate` and `preview` leave them: an animal before a background, found more or less well."""
    for number, image_id in enumerate(IMAGES[:count]):
        scene, truth = _scene(number, size)
        generator = np.random.default_rng([number, *map(ord, row)])
        panel = folder / "panels" / image_id
        panel.mkdir(parents=True, exist_ok=True)
        scene.save(panel / "image.png")
        Image.fromarray(colorize(truth)).save(panel / "truth.png")
        Image.fromarray(colorize(_predicted(truth, RIGHT[row], generator))).save(panel / "prediction.png")
        _heat(scene, truth).save(panel / "scores.png")
        _points(scene, truth, generator).save(panel / "points.png")


def _scene(number: int, size: tuple[int, int]) -> tuple[Image.Image, np.ndarray]:
    generator = np.random.default_rng(number)
    width, height = size
    noise = generator.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    picture = Image.blend(Image.new("RGB", size, (96, 128, 88)), Image.fromarray(noise).resize(size), 0.25)
    mask = Image.new("L", size, 0)
    left, top = int(generator.uniform(0.1, 0.4) * width), int(generator.uniform(0.2, 0.35) * height)
    body = (left, top, left + width // 2, top + height // 2)
    for image, fill in ((picture, (188, 132, 74)), (mask, 1 + number % 2)):
        ImageDraw.Draw(image).ellipse(body, fill=fill)
        ImageDraw.Draw(image).ellipse((body[2] - 30, body[1] - 40, body[2] + 50, body[1] + 45), fill=fill)
    return picture, np.array(mask)


def _predicted(truth: np.ndarray, right: float, generator: np.random.Generator) -> np.ndarray:
    coarse = generator.uniform(size=(truth.shape[0] // 24, truth.shape[1] // 24)).astype(np.float32)
    field = np.array(Image.fromarray(coarse).resize(truth.shape[::-1], Image.Resampling.BICUBIC))
    return np.where(field < right, truth, (truth + 1) % len(NAMES)).astype(np.uint8)


def _heat(scene: Image.Image, truth: np.ndarray) -> Image.Image:
    blurred = Image.fromarray(((truth > 0) * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(24))
    heat = np.stack([np.array(blurred), 255 - np.array(blurred), np.full_like(truth, 120)], axis=-1)
    return Image.blend(scene, Image.fromarray(heat.astype(np.uint8)), 0.7)


def _points(scene: Image.Image, truth: np.ndarray, generator: np.random.Generator) -> Image.Image:
    canvas = Image.eval(scene, lambda value: int(0.7 * value))
    colours = colorize(truth)
    for _ in range(40):
        row, column = (int(generator.integers(length)) for length in truth.shape)
        box = (column - 6, row - 6, column + 6, row + 6)
        ImageDraw.Draw(canvas).ellipse(box, fill=tuple(colours[row, column].tolist()), outline="white")
    return canvas
