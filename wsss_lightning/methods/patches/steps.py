"""Patches of images with one tag to learn from: one out of each of N sub-images (patches sec. 3.1, Figure 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from wsss_lightning.data.base import Record, SegmentationDataModule
from wsss_lightning.data.samples import Pixels, Sample, SegmentationDataset
from wsss_lightning.data.steps import StepData, share
from wsss_lightning.data.target import target_index
from wsss_lightning.data.transforms import central_augmentation
from wsss_lightning.errors import InputError
from wsss_lightning.lifetime import begin_loading
from wsss_lightning.methods.patches.cropping import Image, draw_patches

if TYPE_CHECKING:
    import albumentations as A

_MINED = 0.5  # sec. 3.2: of the negatives of the second round


def divide(records: Sequence[Record], *, held_out: float, seed: int) -> tuple[list[Record], list[Record]]:
    """Images to train on, and a random share `held_out` of all, at least one, that is set aside; each in its order."""
    count = max(round(held_out * len(records)), 1)
    aside = set(np.random.default_rng(seed).permutation(len(records))[:count].tolist())
    kept = [record for index, record in enumerate(records) if index not in aside]
    return kept, [records[index] for index in sorted(aside)]


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
        """`patches`, (B N, size, size, 3) as `Pixels`, image by image, `positive` (B,) bool and `image_id`."""
        slots = share(range(self.batch_size), rank=rank, world=world)
        drawn = [self._draw(step, slot) for slot in slots]
        patches = torch.from_numpy(np.concatenate([patches for patches, *_ in drawn]))
        return {
            "patches": Pixels(patches, self.images.normalise),
            "positive": torch.tensor([positive for _, positive, _ in drawn]),
            "image_id": [image_id for *_, image_id in drawn],
        }

    def _draw(self, step: int, slot: int) -> tuple[Image, bool, str]:
        generator = np.random.default_rng([self.seed, step, slot])
        positive = bool(generator.random() < self.positives)
        if not positive and self.mined is not None and generator.random() < _MINED:
            return self.mined[np.sort(generator.integers(len(self.mined), size=self.count))], False, "mined patches"
        index = int(generator.choice(self.present if positive else self.absent))
        image = self.images.at(index, step=step, packed=True)["image"].values.numpy()
        return (
            draw_patches(image, count=self.count, size=self.size, generator=generator),
            positive,
            self.images.records[index].image_id,
        )


class CentralImages(Dataset[Sample]):
    """Images of a data set cut to `size` (H, W) px as in training, without jitter; `sample["size"]` is that size."""

    def __init__(self, data: SegmentationDataModule, records: Sequence[Record], *, size: tuple[int, int]) -> None:
        self.images = _cut(data, records, central_augmentation((size[0], size[1])), seed=0)
        self.records = self.images.records

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Sample:
        sample = self.images.at(index, step=0)
        return sample | {"size": torch.tensor(sample["image"].shape[1:])}

    def pixels(self, index: int) -> Image:
        """Image number `index` before it is normalised."""
        image: Image = self.images.at(index, step=0, packed=True)["image"].values.numpy()
        return image


class MiddlePatches(Dataset[Sample]):
    """The N patches in the middle of an image's sub-images, the same ones each time, as a batch of one image.

    Args:
        images: without jitter.
        target: the class, an index into their tags.
        count: N.
        size: edge of a patch in px.
    """

    def __init__(self, images: CentralImages, *, target: int, count: int, size: int) -> None:
        self.images, self.target, self.count, self.size = images, target, count, size

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        patches = draw_patches(self.images.pixels(index), count=self.count, size=self.size, generator=None)
        positive = torch.tensor([bool(self.images.records[index].tags[self.target])])
        return {"patches": self.images.images.normalise.batch(patches), "positive": positive}

    def loader(self, *, workers: int) -> DataLoader[Sample]:
        """Image by image."""
        return DataLoader(
            self, batch_size=None, num_workers=workers, worker_init_fn=begin_loading, generator=torch.Generator()
        )


class PatchData(StepData):
    """Patches of a data set's training images and whether these show the class, for `module.PatchModule`.

    Args:
        source: whose training images are learned from; no mask is opened.
        target: name of the class; all other classes are background.
        edge: of a patch in px, `network.PatchNetwork.size`.
        patches: N, per image.
        size: (H, W) that images are cut to, px.
        augmentation: their jitter.
        positives: share of the images drawn that show the class.
        held_out: share of the images that is set aside for validation.
        mined: see `PatchSteps`.
        first: whether this is the first round; a later one does not see the draws of the first again.
        steps: how many.
        batch_size: images per step.
        seed: of what is held out and of all that is drawn.
        workers: loading processes; no result depends on it.

    Raises:
        InputError: there is no such class, or no image or all images show it.
    """

    def __init__(
        self,
        source: SegmentationDataModule,
        *,
        target: str,
        edge: int,
        patches: int,
        size: tuple[int, int],
        augmentation: A.Compose,
        steps: int,
        batch_size: int,
        positives: float = 0.5,
        held_out: float = 0.2,
        mined: Image | None = None,
        first: bool = True,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        index = target_index(source, target)
        draws = seed if first else int(np.random.default_rng([seed, 2]).integers(2**31))
        kept, aside = divide(source.records("train"), held_out=held_out, seed=seed)
        middle = MiddlePatches(CentralImages(source, aside, size=size), target=index, count=patches, size=edge)

        def make_steps(parts: int) -> PatchSteps:
            return PatchSteps(
                _cut(source, kept, augmentation, seed=draws),
                target=index,
                count=patches,
                size=edge,
                positives=positives,
                mined=mined,
                batch_size=batch_size * parts,
                steps=steps,
                seed=draws,
            )

        super().__init__(steps=make_steps, held_out=middle.loader(workers=workers), workers=workers, seed=seed)
        self.class_names = source.class_names  # which label of the images' masks is the class


def _cut(
    data: SegmentationDataModule, records: Sequence[Record], augmentation: A.Compose, *, seed: int
) -> SegmentationDataset:
    """Some images of a data set, cut and moved by `augmentation`."""
    return SegmentationDataset(
        records, encode=data.encode, mean=data.mean, std=data.std, augmentation=augmentation, seed=seed
    )
