"""A small segmentation network on a tiny VOC folder, for the tests of its stages."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from fake_data import write_voc

from wsss_lightning.data.masks import write_mask
from wsss_lightning.data.voc import VOC_CLASSES, VOCDataModule
from wsss_lightning.methods.priors.segmenter import SegmenterModule, class_masks, tags_alone
from wsss_lightning.methods.priors.stages.fit_segmenter import fit_segmenter
from wsss_lightning.nn.deeplab import deeplab_vgg
from wsss_lightning.nn.vgg import TINY_MEAN, TINY_STD, VGG, tiny

TRAINER = partial(pl.Trainer, accelerator="cpu", devices=1, log_every_n_steps=1)
NETWORK = partial(deeplab_vgg, fc6_kernel=3, fc6_dilation=1, hidden=8, dropout=0.5)


def backbone() -> VGG:
    """A VGG with weights that are always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return tiny(None, 20)


def open_voc(root: Path, **settings: Any) -> VOCDataModule:
    """The folder of `write_voc`, images at their own size; written if it is not there."""
    if not root.exists():
        write_voc(root)
    names = {"names": VOC_CLASSES, "train_list": "train", "mean": TINY_MEAN, "std": TINY_STD}
    return VOCDataModule(root=root, **{**names, **settings})


def write_weak_masks(folder: Path, data: VOCDataModule) -> str:
    """Masks whose left half is the first class of the tags, in the data set's own indices."""
    for record in data.records("train"):
        labels = np.zeros((24, 32), np.uint8)
        labels[:, :16] = np.argmax([False, *record.tags])
        write_mask(folder / f"{record.image_id}.png", data.decode(labels))
    return str(folder)


def write_uneven_masks(folder: Path, data: VOCDataModule) -> str:
    """As `write_weak_masks`, but most of the first is 255: images differ in how many pixels they label."""
    write_weak_masks(folder, data)
    first, *_ = data.records("train")
    rows = np.full((24, 32), 255, np.uint8)
    rows[:9] = 0
    write_mask(folder / f"{first.image_id}.png", rows)
    return str(folder)


def train(out_dir: Path, data: VOCDataModule, masks: str | None, **settings: Any) -> dict[str, float]:
    """Run `fit_segmenter` for a few steps."""
    defaults: dict[str, Any] = {
        "backbone": backbone(),
        "network": NETWORK,
        "loss": partial(class_masks, sharpness=5.0),
        "rates": [1e-2, 1e-3],
        "steps": [4, 3],
        "seed": 0,
        "trainer": TRAINER,
        "loggers": {},
        "workers": 0,
        "checkpoint_every": 2,
        "progress": False,
    }
    return fit_segmenter(out_dir=str(out_dir), data=data, masks=masks, **{**defaults, **settings})


def module(**settings: Any) -> SegmenterModule:
    """What `train` trains with tags alone."""
    defaults: dict[str, Any] = {
        "backbone": backbone(),
        "network": NETWORK,
        "class_names": VOC_CLASSES,
        "loss": partial(tags_alone, sharpness=5.0),
        "rates": [1e-2, 1e-3],
        "steps": [4, 3],
        "seed": 0,
    }
    return SegmenterModule(**{**defaults, **settings})
