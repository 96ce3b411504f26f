"""Patches of images with one tag to learn from: one out of each of N sub-images (patches sec. 3.1, Figure 2)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import isqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from wsss_lightning.data.base import Record
from wsss_lightning.data.samples import Pixels, Sample, SegmentationDataset
from wsss_lightning.data.steps import share
from wsss_lightning.errors import InputError

Image = NDArray[np.uint8]
_MINED = 0.5  # sec. 3.2: of the negatives of the second round


def divide(records: Sequence[Record], *, held_out: float, seed: int) -> tuple[list[Record], list[Record]]:
    """Images to train on, and a random share `held_out` of all, at least one, that is set aside; each in its order."""
    count = max(round(held_out * len(records)), 1)
    aside = set(np.random.default_rng(seed).permutation(len(records))[:count].tolist())
    kept = [record for index, record in enumerate(records) if index not in aside]
    return kept, [records[index] for index in sorted(aside)]


def draw_patches(image: Image, *, count: int, size: int, generator: np.random.Generator | None) -> Image:
    """One patch anywhere in each of sqrt(N) x sqrt(N) sub-images, or in the middle of each without a generator.

    Args:
        image: (H, W, 3).
        count: N, a square.
        size: edge of the patches in px.
        generator: of their places, uniform in each sub-image.

    Returns:
        (N, size, size, 3), row by row.

    Raises:
        InputError: a sub-image is smaller than a patch.
    """
    along = isqrt(count)
    edge = min(image.shape[:2]) // along
    if edge < size:
        raise InputError(f"Patches of {size} px do not fit into sub-images of {edge} px: enlarge tuning.size.")
    bounds = [[length * part // along for part in range(along + 1)] for length in image.shape[:2]]
    tops, lefts = ([(start, end - size) for start, end in pairwise(b)] for b in bounds)
    corners = [(_between(top, generator), _between(left, generator)) for top in tops for left in lefts]
    return np.stack([image[row : row + size, column : column + size] for row, column in corners])


def _between(ends: tuple[int, int], generator: np.random.Generator | None) -> int:
    first, last = ends
    return (first + last) // 2 if generator is None else int(generator.integers(first, last + 1))


class PatchSteps:
    """Batches of N patches per image and whether the image shows the class: functions of (seed, step).

    Args:
        images: the training images with their jitter.
        target: the class, an index into their tags.
        count: N.
        size: edge of a patch in px.
        positives: probability that an image drawn shows the class; among those that do, and those that do not, all
            are equally likely.
        mined: false positives (M, size, size, 3) of an earlier round; half of the negatives are N of these, where there
            are any.
        batch_size: images per step.
        steps: how many there are.
        seed: of all that is drawn.

    Raises:
        InputError: no image shows the class, or all do.
    """

    def __init__(
        self,
        images: SegmentationDataset,
        *,
        target: int,
        count: int,
        size: int,
        positives: float,
        mined: Image | None,
        batch_size: int,
        steps: int,
        seed: int,
    ) -> None:
        shown = np.array([record.tags[target] for record in images.records])
        if shown.all() or not shown.any():
            raise InputError(f"{shown.sum()} of {len(shown)} training images show the class: some and not all have to.")
        self.images, self.present, self.absent = images, np.flatnonzero(shown), np.flatnonzero(~shown)
        self.count, self.size, self.positives = count, size, positives
        self.mined = mined if mined is not None and len(mined) else None
        self.batch_size, self.steps, self.seed = batch_size, steps, seed

    def __len__(self) -> int:
        return self.steps

    def batch(self, step: int, *, rank: int, world: int) -> Sample:
        """`patches`, (B N, size, size, 3) as `Pixels`, image by image, and `positive` (B,) bool."""
        slots = share(range(self.batch_size), rank=rank, world=world)
        drawn = [self._draw(step, slot) for slot in slots]
        patches = torch.from_numpy(np.concatenate([patches for patches, _ in drawn]))
        return {
            "patches": Pixels(patches, self.images.normalise),
            "positive": torch.tensor([positive for _, positive in drawn]),
        }

    def _draw(self, step: int, slot: int) -> tuple[Image, bool]:
        generator = np.random.default_rng([self.seed, step, slot])
        positive = bool(generator.random() < self.positives)
        if not positive and self.mined is not None and generator.random() < _MINED:
            return self.mined[np.sort(generator.integers(len(self.mined), size=self.count))], False
        index = int(generator.choice(self.present if positive else self.absent))
        image = self.images.at(index, step=step, packed=True)["image"].values.numpy()
        return draw_patches(image, count=self.count, size=self.size, generator=generator), positive


class MiddlePatches(Dataset[Sample]):
    """The N patches in the middle of an image's sub-images, the same ones each time, as a batch of one image.

    Args:
        images: cut to size in the same way each time.
        target: the class, an index into their tags.
        count: N.
        size: edge of a patch in px.
    """

    def __init__(self, images: SegmentationDataset, *, target: int, count: int, size: int) -> None:
        self.images, self.target, self.count, self.size = images, target, count, size

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        sample = self.images.at(index, step=0, packed=True)
        patches = draw_patches(sample["image"].values.numpy(), count=self.count, size=self.size, generator=None)
        return {"patches": self.images.normalise.batch(patches), "positive": sample["tags"][self.target, None]}


def crop_around(image: Image, rows: Sequence[int], columns: Sequence[int], *, size: int) -> Image:
    """The patches around some pixels, (M, size, size, 3), as `network.PatchNetwork.dense` sees them."""
    before, after = (size - 1) // 2, size // 2
    mirrored = np.pad(image, ((before, after), (before, after), (0, 0)), mode="symmetric")
    return np.stack([mirrored[r : r + size, c : c + size] for r, c in zip(rows, columns, strict=True)])
