import math
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_segmenter import open_voc

from wsss_lightning.data.images import read_image
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.methods.priors.stages.judge_cams import judge_cams
from wsss_lightning.stages.io import write_tensors


@pytest.fixture
def data(tmp_path: Path) -> VOCDataModule:
    return open_voc(tmp_path / "voc")


def judge(out_dir: Path, data: VOCDataModule, cams: dict[str, torch.Tensor]) -> dict[str, float]:
    for record in data.records("train"):
        present = torch.from_numpy(np.flatnonzero(record.tags)) + 1
        tensors = {"cams": cams[record.image_id], "present": present}
        write_tensors(out_dir / "cams" / f"{record.image_id}.safetensors", tensors)
    return judge_cams(out_dir=str(out_dir), data=data, cams=str(out_dir), negatives="clip", progress=False)


def test_maps_that_are_the_truth(tmp_path: Path, data: VOCDataModule) -> None:
    """Three times the mask is 1 on the object and 0 elsewhere: maps are scaled by their maximum."""
    cams = {}
    for record in data.records("train"):
        target = torch.from_numpy(data.read_target(record))
        cams[record.image_id] = torch.stack([3.0 * (target == c + 1) for c in np.flatnonzero(record.tags)])
    metrics = judge(tmp_path / "out", data, cams)
    assert (metrics["train/cam_on_object"], metrics["train/cam_elsewhere"]) == (1, 0)
    assert metrics["train/cam_on_object/bicycle"] == 1
    assert math.isnan(metrics["train/cam_on_object/tvmonitor"])


def test_means_by_hand(tmp_path: Path, data: VOCDataModule) -> None:
    """A ramp from 0 to 1 along the columns; ignored pixels count nowhere."""
    ramp = (torch.arange(32) / 31).expand(24, 32)
    cams = {r.image_id: ramp.expand(int(r.tags.sum()), -1, -1) for r in data.records("train")}
    metrics = judge(tmp_path / "out", data, cams)
    seen = [r for r in data.records("train") if r.tags[1]]
    targets = np.stack([data.read_target(r) for r in seen])
    ramps = np.broadcast_to(ramp.numpy(), targets.shape)
    assert metrics["train/cam_on_object/bicycle"] == pytest.approx(ramps[targets == 2].mean())
    assert metrics["train/cam_elsewhere/bicycle"] == pytest.approx(ramps[(targets != 2) & (targets != 255)].mean())
    per_class = [value for name, value in metrics.items() if name.startswith("train/cam_on_object/")]
    assert metrics["train/cam_on_object"] == pytest.approx(np.nanmean(per_class), rel=1e-5)


def test_average_places_are_drawn_per_class(tmp_path: Path, data: VOCDataModule) -> None:
    ramp = (torch.arange(32) / 31).expand(24, 32)
    judge(tmp_path / "out", data, {r.image_id: ramp.expand(int(r.tags.sum()), -1, -1) for r in data.records("train")})
    folders = {path.name for path in (tmp_path / "out" / "panels").iterdir()}
    assert folders == set(data.class_names)
    cam = read_image(tmp_path / "out" / "panels" / "bicycle" / "average_cam.png").astype(int)
    assert cam.shape == (384, 384, 3)
    assert abs(cam[0] - cam[-1]).max() < 4 < abs(cam[:, 0] - cam[:, -1]).max()  # the ramp, but for rounding
    truth = read_image(tmp_path / "out" / "panels" / "bicycle" / "average_truth.png")
    assert not np.array_equal(truth, cam)
