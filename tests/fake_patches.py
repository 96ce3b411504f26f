"""A small patch network and probabilities of a tiny VOC folder's images, for the tests of its stages."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from fake_segmenter import open_voc
from numpy.typing import NDArray

from wsss_lightning import models
from wsss_lightning.data.base import Split
from wsss_lightning.data.images import image_size
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.methods.patches.module import PatchModule, read_levels
from wsss_lightning.methods.patches.network import PatchNetwork
from wsss_lightning.nn.description import describe
from wsss_lightning.ops.pooling import pool_maximum
from wsss_lightning.stages.io import write_json, write_tensors

NETWORK = partial(PatchNetwork, filters=(4, 5, 6, 7), kernels=(4, 3, 5), pools=(3, 2), bounded=True)
MIDDLE = (0.5, 0.5, 0.5)  # mean and standard deviation of values in [-1, 1]


def open_patches(root: Path) -> VOCDataModule:
    """The folder of `write_voc` as patch networks see it."""
    return open_voc(root, mean=MIDDLE, std=MIDDLE)


def write_module(folder: Path, *, target: str = "cat") -> PatchModule:
    """A module whose scores spread over their range, as a `fit_patches` stage leaves it."""
    module = PatchModule(network=NETWORK, pooling=pool_maximum, rate=0.1, target=target)
    with torch.no_grad():
        module.network.scores.weight.mul_(10)
    inputs = models.Inputs([target], indices=[0, 8], palette=[[0, 0, 0], [64, 0, 0]], mean=MIDDLE, std=MIDDLE, size=30)
    models.save(module, folder, inputs=inputs)
    return module.eval()


def write_levels(folder: Path, levels: dict[str, NDArray[np.uint16]]) -> None:
    """Probabilities in steps of 1 / 65535 by image, as a `predict_patches` stage leaves them."""
    write_json(folder / "reading.json", describe(read_levels))
    write_tensors(folder / "reading.safetensors", {})
    for image_id, values in levels.items():
        write_tensors(folder / "scores" / f"{image_id}.safetensors", {"levels": torch.from_numpy(values)})


def write_probabilities(folder: Path, data: VOCDataModule, split: Split) -> dict[str, NDArray[np.uint16]]:
    """Random ones of a split; returns what stands in the files by image."""
    generator = np.random.default_rng(0)
    levels = {
        record.image_id: generator.integers(0, 65536, image_size(record.image)).astype(np.uint16)
        for record in data.records(split)
    }
    write_levels(folder, levels)
    return levels
