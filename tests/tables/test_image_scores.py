"""IoU of single images, from what evaluations keep."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from wsss_lightning.metrics.segmentation import iou, mean_iou
from wsss_lightning.tables import image_scores as module
from wsss_lightning.tables.cells import Cell
from wsss_lightning.tables.image_scores import ImageScores, image_scores
from wsss_lightning.tables.results import Table

Finish = Callable[..., np.ndarray]


@pytest.fixture
def matrices(cells: list[Cell], finish: Finish) -> list[np.ndarray]:
    """Those of the first seed of two rows; on the first image there is no dog, on the last one nothing is counted."""
    found = []
    for cell in (cells[0], cells[2]):
        kept = finish(cell)
        kept[0, 2], kept[0, :, 2], kept[-1] = 0, 0, 0
        np.save(cell.plan.final.folder / "confusion.npy", kept)
        found.append(kept)
    return found


@pytest.fixture
def scores(matrices: list[np.ndarray], collected: Callable[..., Table], root: Path) -> ImageScores:
    return image_scores(collected(), root / "store")


def test_they_are_the_metric_of_each_image(scores: ImageScores, matrices: list[np.ndarray]) -> None:
    assert scores.rows == ["Top", "Diverse"] and len(scores.images) == len(matrices[0])
    for number, image in enumerate(scores.images[:-1]):
        each = [torch.from_numpy(kept[number]) for kept in matrices]
        assert image.mean == pytest.approx([mean_iou(matrix) for matrix in each])
        assert image.by_class["cat"] == pytest.approx([float(iou(matrix)[1]) for matrix in each])
    assert scores.images[0].shown == ["cat"] and list(scores.images[0].by_class) == ["cat"]
    assert scores.images[1].shown == ["cat", "dog"]
    assert scores.images[-1].mean == [None, None] and scores.images[-1].overall is None


def test_the_worst_have_the_lowest_mean_over_rows(
    scores: ImageScores, matrices: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    means = {image.image_id: np.mean(image.mean) for image in scores.images[:-1]}
    ranked = sorted(means, key=lambda image_id: means[image_id])
    assert scores.worst(3) == ranked[:3] and scores.worst(99) == ranked
    assert scores.listed == scores.images
    monkeypatch.setattr(module, "LISTED", 2)
    assert {image.image_id for image in scores.listed} == set(ranked[:2])


def test_an_image_that_one_row_lacks_has_no_score_there(
    cells: list[Cell], finish: Finish, collected: Callable[..., Table], root: Path
) -> None:
    finish(cells[0])
    finish(cells[2], images=("val_000000", "other"))
    scores = image_scores(collected(), root / "store")
    first, other = scores.of("val_000001"), scores.of("other")
    assert first is not None and first.mean[0] is not None and first.mean[1] is None
    assert (
        other is not None
        and other.mean[0] is None
        and other.told["mean"][1] == pytest.approx(100 * (other.mean[1] or 0), abs=0.06)
    )
    assert scores.of("none") is None


def test_rows_without_a_matrix_of_all_labels_are_left_out(
    cells: list[Cell], finish: Finish, collected: Callable[..., Table], root: Path
) -> None:
    for cell in (cells[0], cells[2]):
        kept = finish(cell)
    np.save(cells[0].plan.final.folder / "confusion.npy", kept[:, :2, :2])  # of one class
    (cells[2].plan.final.folder / "images.json").unlink()
    assert image_scores(collected(), root / "store") == ImageScores([], [])
