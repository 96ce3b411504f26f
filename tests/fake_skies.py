"""A folder in VOC's layout whose classes are plain to see, and a small patch network to train on it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytorch_lightning as pl
from PIL import Image

from wsss_lightning.data.masks import write_mask
from wsss_lightning.data.transforms import jitter_augmentation
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.methods.patches.network import PatchNetwork
from wsss_lightning.methods.patches.stages.fit_patches import fit_patches
from wsss_lightning.ops.pooling import pool_log_sum_exp

NAMES = ("sun", "moon")
HALF = (0.5, 0.5, 0.5)
SIZE = (32, 32)  # of the images, px
NETWORK = partial(
    PatchNetwork, filters=(4, 4, 8, 8), kernels=(2, 2, 2), pools=(2, 2), bounded=False, spread=3**0.5
)  # of 11 px

TRAINER = partial(pl.Trainer, accelerator="cpu", devices=1, log_every_n_steps=1, logger=False)


def write_skies(root: Path, *, train: int = 24, val: int = 6) -> None:
    """Grey noise with a red square (sun) in every third image, a blue one (moon) in the next, nothing in the last."""
    for split, count in (("train", train), ("val", val)):
        ids = [f"{split}_{number:02d}" for number in range(count)]
        for number, image_id in enumerate(ids):
            _write_sky(root, image_id, kind=number % 3, seed=number + 100 * (split == "val"))
        path = root / "ImageSets" / "Segmentation" / f"{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{image_id}\n" for image_id in ids))


def _write_sky(root: Path, image_id: str, *, kind: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(96, 160, (*SIZE, 3), np.uint8)
    mask, annotation = np.zeros(SIZE, np.uint8), ElementTree.Element("annotation")
    if kind < len(NAMES):
        row, column = rng.integers(0, 16, 2)
        mask[row : row + 16, column : column + 16] = kind + 1
        image[mask > 0] = ((250, 10, 10), (10, 10, 250))[kind]
        ElementTree.SubElement(ElementTree.SubElement(annotation, "object"), "name").text = NAMES[kind]
        mask[row, column] = 255
    for folder in ("JPEGImages", "Annotations"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(root / "JPEGImages" / f"{image_id}.jpg", quality=98)
    (root / "Annotations" / f"{image_id}.xml").write_bytes(ElementTree.tostring(annotation))
    write_mask(root / "SegmentationClass" / f"{image_id}.png", mask)


def open_skies(root: Path, **settings: Any) -> VOCDataModule:
    """The folder of `write_skies`, written if it is not there."""
    if not root.exists():
        write_skies(root)
    given: dict[str, Any] = {"names": NAMES, "train_list": "train", "tags": "xml", "mean": HALF, "std": HALF}
    return VOCDataModule(root=root, **{**given, **settings})


def train(out_dir: Path, source: VOCDataModule, **settings: Any) -> dict[str, float]:
    """Run `fit_patches` on the class sun for a few steps."""
    defaults: dict[str, Any] = {
        "target": "sun",
        "network": NETWORK,
        "patches": 4,
        "size": SIZE,
        "augmentation": jitter_augmentation(SIZE),
        "pooling": partial(pool_log_sum_exp, sharpness=1.0),
        "positives": 0.5,
        "held_out": 0.25,
        "start": None,
        "mined": None,
        "rate": 0.01,
        "steps": 7,
        "batch_size": 4,
        "seed": 0,
        "trainer": TRAINER,
        "loggers": {},
        "workers": 0,
        "checkpoint_every": 2,
        "progress": False,
    }
    return fit_patches(out_dir=str(out_dir), source=source, **{**defaults, **settings})
