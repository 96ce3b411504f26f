from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_skies import SIZE, TRAINER, open_skies, train

from wsss_lightning.data.masks import read_mask
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.methods.patches.network import probability
from wsss_lightning.methods.patches.stages.fit_patches import MINED, read_patch_module
from wsss_lightning.methods.patches.stages.mine_patches import mine_patches
from wsss_lightning.methods.patches.steps import CentralImages, divide


@pytest.fixture
def data(tmp_path: Path) -> VOCDataModule:
    """Images without ground truth, beside the network of a finished stage."""
    opened = open_skies(tmp_path / "voc")
    shutil.rmtree(tmp_path / "voc" / "SegmentationClass")
    train(tmp_path / "trained", opened)
    return opened


def mine(tmp_path: Path, data: VOCDataModule, **settings: Any) -> dict[str, float]:
    given: dict[str, Any] = {"target": "sun", "model": str(tmp_path / "trained"), "size": SIZE}
    given |= {
        "held_out": 0.25,
        "threshold": 0.5,
        "images": 9,
        "most": 10_000,
        "seed": 0,
        "trainer": TRAINER,
        "workers": 0,
        "progress": False,
    }
    return mine_patches(out_dir=str(tmp_path / "out"), source=data, **{**given, **settings})


def mined(tmp_path: Path) -> np.ndarray:
    return np.load(tmp_path / "out" / MINED)


def test_the_patches_are_those_of_false_positives_in_held_out_images(tmp_path: Path, data: VOCDataModule) -> None:
    module = read_patch_module(str(tmp_path / "trained"))
    aside = divide(data.records("train"), held_out=0.25, seed=0)[1]
    shown = CentralImages(data, [record for record in aside if not record.tags[0]], size=SIZE)
    middle = float(module(shown[0]["image"][None]).median())
    metrics = mine(tmp_path, data, threshold=middle)
    masks = {path.stem: read_mask(path) for path in (tmp_path / "out" / "false_positives").iterdir()}
    assert masks.keys() == {record.image_id for record in aside if not record.tags[0]}
    count = sum(int(mask.sum()) for mask in masks.values())
    assert metrics == {"mined/false_positives": count, "mined/patches": count} and 0 < count < 32 * 32 * len(masks)
    patches = torch.from_numpy(mined(tmp_path)).permute(0, 3, 1, 2) / 255 * 2 - 1
    assert len(patches) == count and bool((probability(module.network(patches)) > middle - 1e-6).all())


def test_at_most_so_many_are_kept_and_come_from_everywhere(tmp_path: Path, data: VOCDataModule) -> None:
    whole = mine(tmp_path, data, threshold=0.0)
    assert whole["mined/patches"] == whole["mined/false_positives"]
    every = {patch.tobytes(): number // 1024 for number, patch in enumerate(mined(tmp_path))}
    some = mine(tmp_path, data, threshold=0.0, most=40)
    assert some["mined/patches"] == 40 and some["mined/false_positives"] == whole["mined/false_positives"]
    origin = [every[patch.tobytes()] for patch in mined(tmp_path)]
    assert len(set(origin)) > 2


def test_so_many_images_are_looked_at(tmp_path: Path, data: VOCDataModule) -> None:
    mine(tmp_path, data, images=2)
    assert len(list((tmp_path / "out" / "false_positives").iterdir())) == 2


def test_killed_and_resumed_gives_the_same_patches(tmp_path: Path, data: VOCDataModule) -> None:
    mine(tmp_path, data, threshold=0.0, most=50)
    before = mined(tmp_path)
    (tmp_path / "out" / MINED).unlink()
    next((tmp_path / "out" / "false_positives").iterdir()).unlink()
    mine(tmp_path, data, threshold=0.0, most=50)
    assert np.array_equal(mined(tmp_path), before)


def test_a_network_without_false_positives_gives_none(tmp_path: Path, data: VOCDataModule) -> None:
    assert mine(tmp_path, data, threshold=1.0) == {"mined/false_positives": 0, "mined/patches": 0}
    assert mined(tmp_path).shape == (0, 11, 11, 3)
    train(tmp_path / "second", data, start=str(tmp_path / "trained"), mined=str(tmp_path / "out"))
