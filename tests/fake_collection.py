"""A class of pictures that show one textured thing before changing grounds, in VOC's layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsss_lightning.data.masks import write_mask

Picture = tuple[NDArray[np.uint8], NDArray[np.bool_]]


def picture(seed: int, *, stripes: bool, size: tuple[int, int] = (96, 128)) -> Picture:
    """A striped egg or a checked brick, somewhat moved and scaled, before blurred noise: image and mask."""
    rng = np.random.default_rng(seed)
    ground = cv2.GaussianBlur(rng.integers(0, 256, (*size, 3)).astype(np.float32), (0, 0), 9)
    ground = (ground - ground.mean()) * 5 + rng.integers(90, 165, 3)
    centre = np.divide(size, 2) + rng.uniform(-6, 6, 2)
    radius = np.array([30, 42]) * rng.uniform(0.9, 1.1)
    y, x = np.indices(size) - centre[:, None, None]
    mask = (y / radius[0]) ** 2 + (x / radius[1]) ** 2 < 1 if stripes else np.maximum(abs(y) / 32, abs(x) / 36) < 1
    wave = np.sin(x / 3) if stripes else np.sign(np.sin(x / 4) * np.sin(y / 4))
    colours = np.array([[230, 40, 40], [150, 10, 30]] if stripes else [[40, 60, 230], [10, 30, 140]])
    thing = colours[(wave > 0).astype(int)]
    image = np.where(mask[..., None], thing, ground) + rng.normal(0, 4, (*size, 3))
    return image.clip(0, 255).astype(np.uint8), mask


def write_collection(root: Path, *, per_class: int, names: Sequence[str] = ("egg", "brick")) -> Path:
    """`per_class` pictures of each of two classes and one with both tags; tags in cls_labels.npy."""
    tags: dict[int, NDArray[np.float32]] = {}
    for number in range(2 * per_class + 1):
        label, image_id = number % 2, f"{number:06d}"
        image, mask = picture(number, stripes=label == 0)
        (root / "JPEGImages").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(root / "JPEGImages" / f"{image_id}.jpg", quality=95)
        write_mask(root / "SegmentationClassAug" / f"{image_id}.png", mask.astype(np.uint8) * np.uint8(label + 1))
        tags[number] = np.ones(2, np.float32) if number == 2 * per_class else np.eye(2, dtype=np.float32)[label]
    np.save(root / "cls_labels.npy", tags, allow_pickle=True)  # type: ignore[arg-type]
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True, exist_ok=True)
    (lists / "train.txt").write_text("".join(f"{number:06d}\n" for number in tags))
    (lists / "val.txt").write_text("000000\n")
    return root
