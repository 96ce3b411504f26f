"""Smooth noise with discs in VOC's layout: what the programs run on where no photographs are given."""

from pathlib import Path

import cv2
import numpy as np
from networks import NAMES

from wsss_lightning.data.masks import write_mask
from wsss_lightning.data.voc import VOC_CLASSES

SIZES = ((375, 500), (375, 500), (333, 500))


def write_scenes(root: Path, count: int) -> Path:
    """`count` images named as VOC's are, each with discs of one class; the lists train, train_aug and val hold all."""
    rng, names = np.random.default_rng(0), [f"2007_{number:06}" for number in range(count)]
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    tags = {}
    for number, name in enumerate(names):
        height, width = SIZES[number % len(SIZES)]
        image = cv2.resize(rng.integers(0, 256, (height // 16, width // 16, 3), np.uint8), (width, height))
        mask, label = np.zeros((height, width), np.uint8), VOC_CLASSES.index(NAMES[number % len(NAMES)])
        for _ in range(3):
            cv2.circle(mask, (int(rng.integers(width)), int(rng.integers(height))), 60, label + 1, thickness=-1)
        image[mask > 0] = image[mask > 0] // 2
        cv2.imwrite(str(root / "JPEGImages" / f"{name}.jpg"), image)
        write_mask(root / "SegmentationClass" / f"{name}.png", mask)
        tags[name] = np.eye(len(VOC_CLASSES), dtype=np.float32)[label]
    np.save(root / "cls_labels.npy", np.array(tags))
    for listed in ("train", "train_aug", "val"):
        (root / "ImageSets" / "Segmentation" / f"{listed}.txt").write_text("\n".join(names) + "\n")
    return root
