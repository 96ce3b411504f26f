"""Networks of method cam on a ResNet, and photographs as they see them: what programs on devices share."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wsss_lightning.data.images import image_size, read_image
from wsss_lightning.data.samples import IMAGENET_MEAN, IMAGENET_STD, Normalisation
from wsss_lightning.errors import InputError
from wsss_lightning.methods.cam.student import Student
from wsss_lightning.nn import resnet
from wsss_lightning.nn.resnet import ResNet
from wsss_lightning.stages.tag_classifier import TagClassifier

NAMES = ("cat", "cow", "dog", "horse", "person", "sheep")
SCALES = (0.5, 1.0, 1.5, 2.0)
Image = NDArray[np.uint8]
Batch = dict[str, Any]


def backbone(name: str, weights: str | None) -> ResNet:
    """`resnet18` or `resnet50`; without weights at random, which no time depends on."""
    torch.manual_seed(0)
    made: ResNet = {"resnet18": resnet.resnet18, "resnet50": resnet.resnet50}[name](weights)
    return made


def classifier(name: str, weights: str | None) -> TagClassifier:
    """Its class activation maps are at four scales with mirror images, cells of 16 px."""
    made = TagClassifier(backbone=backbone(name, weights), class_names=NAMES, scales=SCALES, start="shared_rows")
    return made.eval().requires_grad_(False)


def student(name: str, weights: str | None) -> Student:
    """The segmenter of method cam; its head is drawn, so that its labels mean nothing."""
    made = Student(backbone=backbone(name, weights), class_names=NAMES)
    return made.eval().requires_grad_(False)


def photographs(folder: Path, count: int) -> list[Image]:
    """`count` photographs of the size that most of a folder have, so that they fit into one batch.

    Raises:
        InputError: there are none.
    """
    paths = sorted(folder.glob("*.jpg"))
    if not paths:
        raise InputError(f"{folder} has no photographs *.jpg: give a folder that does.")
    sizes = {path: image_size(path) for path in paths}
    (most, _), *_ = Counter(sizes.values()).most_common(1)
    return [read_image(path) for path in paths if sizes[path] == most][:count]


def batches(images: Sequence[Image], *, size: int, device: str) -> list[Batch]:
    """Batches of `size` images as a predicting step takes them, on `device`; every image shows two classes."""
    normalise = Normalisation(IMAGENET_MEAN, IMAGENET_STD)
    parts = [images[first : first + size] for first in range(0, len(images), size)]
    return [
        {
            "image": torch.stack([normalise(image) for image in part]).to(device),
            "tags": torch.tensor([name in ("cat", "person") for name in NAMES]).expand(len(part), -1).to(device),
            "size": torch.tensor([image.shape[:2] for image in part]),
            "image_id": [str(number) for number in range(len(part))],
        }
        for part in parts
    ]


def devices() -> list[str]:
    """Where torch computes here, the processor first."""
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
