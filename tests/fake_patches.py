"""A small patch network and probabilities of a tiny VOC folder's images, for the tests of its stages."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from fake_segmenter import open_voc
from numpy.typing import NDArray
from PIL import Image

from wsss_lightning.data.base import Split
from wsss_lightning.data.images import image_size
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.methods.patches.network import PatchNetwork
from wsss_lightning.stages.io import write_tensors

NETWORK = partial(PatchNetwork, filters=(4, 5, 6, 7), kernels=(4, 3, 5), pools=(3, 2), bounded=True)
MIDDLE = (0.5, 0.5, 0.5)  # mean and standard deviation of values in [-1, 1]


def open_patches(root: Path) -> VOCDataModule:
    """The folder of `write_voc` as patch networks see it."""
    return open_voc(root, mean=MIDDLE, std=MIDDLE)


def write_network(folder: Path) -> PatchNetwork:
    """A network whose scores spread over their range, as a `fit_patches` stage leaves it."""
    made = NETWORK(generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        made.scores.weight.mul_(10)
    write_tensors(folder / "patches.safetensors", made.state_dict())
    return made.eval()


def write_probabilities(folder: Path, data: VOCDataModule, split: Split) -> dict[str, NDArray[np.uint16]]:
    """Random ones, as a `predict_patches` stage leaves them; returns what stands in the files by image."""
    levels = {}
    generator = np.random.default_rng(0)
    (folder / "probabilities").mkdir(parents=True)
    for record in data.records(split):
        found = generator.integers(0, 65536, image_size(record.image)).astype(np.uint16)
        Image.fromarray(found).save(folder / "probabilities" / f"{record.image_id}.png")
        levels[record.image_id] = found
    return levels
