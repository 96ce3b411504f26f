"""A CRF on a known field: an image of two colours, and probabilities that noise has corrupted."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_data import write_voc
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from wsss_lightning import stages
from wsss_lightning.data.masks import read_mask, write_mask
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.metrics.segmentation import confusion_matrix, mean_iou
from wsss_lightning.ops.crf import dense_crf, unary_from_probabilities
from wsss_lightning.stages.refine import refine

SIZE = (40, 60)
VAL = ("2007_000010", "2007_000011", "2007_000012")
CLASSES = ["cat", "aeroplane"]  # 8 and 1 in VOC's own indices
SETTINGS = {"spatial_sigma": 3, "bilateral_weight": 10, "bilateral_sigma": 40, "color_sigma": 13, "iterations": 10}
CRF = partial(dense_crf, spatial_weight=3, **SETTINGS)


def truth(number: int) -> NDArray[np.int64]:
    """A disc of class 1 (even numbers) or 2 on background, (H, W)."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    inside = (rows - 20) ** 2 + (columns - 20 - 8 * number) ** 2 < 12**2
    return np.where(inside, 1 + number % 2, 0)


def corrupted(number: int) -> Tensor:
    """Probabilities (3, H, W) of the truth, of which a third of the pixels tell another label."""
    rng = np.random.default_rng(number)
    wrong = rng.random(SIZE) < 0.33
    told = np.where(wrong, (truth(number) + rng.integers(1, 3, SIZE)) % 3, truth(number))
    return torch.from_numpy(np.where(np.arange(3)[:, None, None] == told, 0.6, 0.2)).float()


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VOCDataModule:
    write_voc(tmp_path / "voc", train=(), sbd=(), val=VAL, size=SIZE)
    for number, name in enumerate(VAL):
        colours = np.array([[40, 120, 60], [200, 60, 50], [60, 60, 210]], np.uint8)
        Image.fromarray(colours[truth(number)]).save(tmp_path / "voc" / "JPEGImages" / f"{name}.jpg", quality=100)
        write_mask(tmp_path / "voc" / "SegmentationClass" / f"{name}.png", np.array([0, 8, 1], np.uint8)[truth(number)])

    def read(folder: Path, image_id: str, size: tuple[int, int]) -> Tensor:
        assert folder == tmp_path / "predictions" and size == SIZE
        return corrupted(VAL.index(image_id))

    monkeypatch.setattr(stages.refine, "read_probabilities", read)
    return VOCDataModule(root=tmp_path / "voc", classes=CLASSES, train_list="val")


def run(data: VOCDataModule, tmp_path: Path, **settings: Any) -> float:
    """mIoU of what the stage writes, in the data set's own indices."""
    given: dict[str, Any] = {"unary": unary_from_probabilities, "crf": CRF, **settings}
    where = {"out_dir": str(tmp_path / "out"), "predictions": str(tmp_path / "predictions")}
    refine(data=data, split="val", workers=1, progress=False, **where, **given)
    pairs = [(read_mask(tmp_path / "out" / "masks" / f"{r.image_id}.png"), r.mask) for r in data.records("val")]
    matrices = [
        confusion_matrix(torch.from_numpy(mask.astype(np.int64)), torch.from_numpy(read_mask(path).astype(np.int64)), 9)
        for mask, path in pairs
        if path is not None
    ]
    return mean_iou(torch.stack(matrices).sum(dim=0))


def test_a_field_of_pairs_removes_the_noise(data: VOCDataModule, tmp_path: Path) -> None:
    before = [
        confusion_matrix(corrupted(number).argmax(dim=0), torch.from_numpy(truth(number)), 3) for number in range(3)
    ]
    assert 0.3 < mean_iou(torch.stack(before).sum(dim=0)) < 0.45
    assert run(data, tmp_path) > 0.98


def test_a_field_without_pairs_leaves_what_it_is_given(data: VOCDataModule, tmp_path: Path) -> None:
    run(data, tmp_path, crf=partial(CRF, spatial_weight=0, bilateral_weight=0))
    for number, name in enumerate(VAL):
        mask = read_mask(tmp_path / "out" / "masks" / f"{name}.png")
        assert np.array_equal(mask, np.array([0, 8, 1])[corrupted(number).argmax(dim=0).numpy()])
