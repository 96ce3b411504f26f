import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_segmenter import open_voc

from wsss_lightning.data.masks import write_mask
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.metrics.segmentation import mean_iou
from wsss_lightning.stages.judge_masks import judge_masks


@pytest.fixture
def data(tmp_path: Path) -> VOCDataModule:
    return open_voc(tmp_path / "voc")


def write_truth(folder: Path, data: VOCDataModule, *, foreground: bool = False) -> str:
    """Perfect masks, in which ignored pixels are background."""
    for record in data.records("train"):
        target = data.read_target(record)
        labels = np.where(target == 255, 0, target)
        write_mask(
            folder / f"{record.image_id}.png", (labels > 0).astype(np.uint8) if foreground else data.decode(labels)
        )
    return str(folder)


def judge(out_dir: Path, data: VOCDataModule, masks: str, **settings: Any) -> dict[str, float]:
    defaults: dict[str, Any] = {"kind": "classes", "share": 1.0, "seed": 0, "progress": False}
    return judge_masks(out_dir=str(out_dir), data=data, masks=masks, **{**defaults, **settings})


@pytest.mark.parametrize("kind", ["classes", "foreground"])
def test_perfect_masks(tmp_path: Path, data: VOCDataModule, kind: Any) -> None:
    masks = write_truth(tmp_path / "masks", data, foreground=kind == "foreground")
    metrics = judge(tmp_path / "out", data, masks, kind=kind)
    assert metrics["train/miou"] == 1
    names = ["foreground"] if kind == "foreground" else data.class_names
    figures = ("miou", "pixel_accuracy", "mean_accuracy", "precision", "recall", "over_activation")
    labels = [f"iou/{name}" for name in ("background", *names)]
    assert list(metrics) == [f"train/{name}" for name in (*figures, *labels)]
    assert metrics.pop("train/over_activation") == 0
    assert json.loads((tmp_path / "out" / "classes.json").read_text())["names"] == ["background", *names]
    assert {value for value in metrics.values() if not math.isnan(value)} == {1}
    assert any(math.isnan(value) for value in metrics.values()) == (kind == "classes")  # three images, six classes


def test_foreground_by_hand(tmp_path: Path, data: VOCDataModule) -> None:
    """All foreground: the foreground's IoU is its share of the counted pixels, the background's is 0."""
    for record in data.records("train"):
        write_mask(tmp_path / "masks" / f"{record.image_id}.png", np.ones((24, 32), np.uint8))
    metrics = judge(tmp_path / "out", data, str(tmp_path / "masks"), kind="foreground")
    targets = np.stack([data.read_target(record) for record in data.records("train")])
    share = ((targets > 0) & (targets != 255)).sum() / (targets != 255).sum()
    assert metrics["train/iou/foreground"] == pytest.approx(share)
    assert metrics["train/iou/background"] == 0
    assert metrics["train/miou"] == pytest.approx(share / 2)


def test_masks_in_the_data_sets_own_indices(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc", classes=["bird", "bicycle"])
    metrics = judge(tmp_path / "out", data, write_truth(tmp_path / "masks", data))
    assert metrics["train/miou"] == metrics["train/iou/bicycle"] == 1


def test_matrices_of_all_images_are_kept(tmp_path: Path, data: VOCDataModule) -> None:
    metrics = judge(tmp_path / "out", data, write_truth(tmp_path / "masks", data), share=0.67)
    confusion = np.load(tmp_path / "out" / "confusion.npy")
    images = json.loads((tmp_path / "out" / "images.json").read_text())
    assert confusion.shape == (2, 21, 21) and len(images) == 2
    assert mean_iou(torch.from_numpy(confusion.sum(0))) == metrics["train/miou"]


def test_a_mask_that_is_not_there(tmp_path: Path, data: VOCDataModule) -> None:
    with pytest.raises(InputError, match="does not exist"):
        judge(tmp_path / "out", data, str(tmp_path / "nowhere"))
