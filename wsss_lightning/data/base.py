"""What every data set shares: lists of records, contiguous labels, loaders; a `data.reader.Reader` says the rest.

Weak supervision is kept by construction: ground truth is opened only by `test_dataloader`, by a dataset made with
`with_masks=True` and by `read_target`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset

from wsss_lightning.data.doubts import always_tagged, seldom_tagged, shared_images
from wsss_lightning.data.labels import Mask
from wsss_lightning.data.names import doubtful_ids, require_distinct_ids
from wsss_lightning.data.pseudo_masks import Missing, with_pseudo_masks
from wsss_lightning.data.reader import Reader, Split
from wsss_lightning.data.samples import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Record,
    Sample,
    SegmentationDataset,
    Size,
    WithTargets,
    collate,
    read_target,
    require_image,
    require_mask,
)
from wsss_lightning.data.steps import ImageSteps, OwnShare, StepLoader, accumulated, finished_batch, on_cuda, seed_step
from wsss_lightning.errors import InputError
from wsss_lightning.lifetime import begin_loading
from wsss_lightning.opened import note_truth

if TYPE_CHECKING:
    import albumentations as A
    import pytorch_lightning as pl

log = logging.getLogger(__name__)
_SAID: set[tuple[str, ...]] = set()  # roots, lists and classes whose doubts were logged

__all__ = ["Record", "SegmentationDataModule", "SegmentationDataset", "Split"]


@dataclass(kw_only=True, eq=False, repr=False)
class SegmentationDataModule(LightningDataModule):
    """Loaders over the lists of a data set.

    Args:
        reader: of the data set.
        classes: the ones to keep, in this order; tags and labels follow it, other classes are ignored (255), images
            that show none stay in the lists. None keeps all.
        train_list: name of the list to train on; None takes the reader's own.
        val_list: name of the list to evaluate on; None takes the reader's own.
        test_list: name of a list whose masks nobody has; None where there is none.
        size: (H, W) that images are resized to, or their shorter side in px; None keeps each image's own. Images of
            several sizes are in batches of one, unless an augmentation gives them a size.
        mean: of RGB in 0..1, the backbone's.
        std: of RGB in 0..1, the backbone's.
        batch_size: images per batch; one of `train_dataloader` is shared among all devices.
        augmentation: of the batches of `train_dataloader` and of their size, from a factory of `data.transforms`; None
            resizes them like all others.
        pseudo_masks: folder of `<image_id>.png` in the data set's own indices, the `mask` of training batches; None
            leaves them without. Ground truth is not looked at.
        missing: what to do about a training image without a pseudo-mask: "raise", or "drop" it and log how many.
        steps: optimiser steps that `train_dataloader` is long; None makes it an epoch.
        predict_split: of `predict_dataloader`.
        workers: loading processes; no result depends on it.
        seed: of the order and the augmentation of `train_dataloader`.

    Raises:
        InputError: `classes` names an unknown class.
    """

    reader: Reader
    classes: Sequence[str] | None = None
    train_list: str | None = None
    val_list: str | None = None
    test_list: str | None = None
    size: Size = None
    mean: Sequence[float] = IMAGENET_MEAN
    std: Sequence[float] = IMAGENET_STD
    batch_size: int = 1
    augmentation: A.Compose | None = None
    pseudo_masks: Path | str | None = None
    missing: Missing = "raise"
    steps: int | None = None
    predict_split: Split = "val"
    workers: int = 0
    seed: int = 0
    root: Path | str = field(init=False)

    def __post_init__(self) -> None:
        super().__init__()
        self.allow_zero_length_dataloader_with_multiple_devices = True  # more devices than images to predict
        self.root = self.reader.root
        given: dict[Split, str | None] = {"train": self.train_list, "val": self.val_list}
        self.lists = {split: name or self.reader.default_list(split) for split, name in given.items()}
        if self.test_list is not None:
            self.lists["test"] = self.test_list
        kept = self.reader.names if self.classes is None else self.classes
        self.labels = self.reader.label_map(kept, tuple(self.lists.values()))
        self._records: dict[Split, list[Record]] = {}

    @property
    def tags_source(self) -> str:
        """See `Reader.tags_source`."""
        return self.reader.tags_source

    @property
    def class_names(self) -> tuple[str, ...]:
        """The C kept foreground classes; label i + 1 is `class_names[i]`."""
        return self.labels.kept

    @property
    def num_classes(self) -> int:
        """C, without background."""
        return len(self.labels.kept)

    @property
    def inference_batch_size(self) -> int:
        """Images per batch where all have one size, else 1."""
        return 1 if self.size is None or isinstance(self.size, int) else self.batch_size

    def encode(self, mask: Mask, path: Path) -> Mask:
        """See `LabelMap.encode`."""
        return self.labels.encode(mask, path)

    def decode(self, labels: Mask) -> Mask:
        """See `LabelMap.decode`."""
        return self.labels.decode(labels)

    def records(self, split: Split) -> list[Record]:
        """Images of a split, with the tags of the kept classes; read once.

        Raises:
            InputError: a list, tags or an image is missing or at fault, or the split has no list.
        """
        if split not in self.lists:
            raise InputError(f"{self.root} is opened without a {split} list: name one with {split}_list.")
        if split not in self._records:
            kept = self.labels.indices - 1
            read = self.reader.read_records(self.lists[split], tagged=split != "test")
            require_distinct_ids(((r.image_id, r.image) for r in read), f"the list {self.lists[split]}")
            note_truth(split, (record.mask for record in read if record.mask is not None))
            self._records[split] = [replace(require_image(record), tags=record.tags[kept]) for record in read]
            if split == "train":
                self._say_doubts()
        return self._records[split]

    def require_every_class(self) -> None:
        """Raise `InputError` where no training image shows a class: what learns each class by itself cannot."""
        shown = np.any([record.tags for record in self.records("train")], axis=0)
        if missing := [name for name, somewhere in zip(self.class_names, shown, strict=True) if not somewhere]:
            raise InputError(
                f"No image of the list {self.lists['train']} in {self.root} is tagged {', '.join(missing)}: add "
                "images, or leave the class out of data.classes."
            )

    def require_masks(self, split: Split) -> None:
        """Raise `InputError` where the first image of a split has no mask: nothing can be compared with it."""
        for record in self.records(split)[:1]:
            require_mask(record)

    def _say_doubts(self) -> None:
        """Log what `doubts` finds, once in a process, since every stage opens its data anew."""
        opened = (str(self.root), *self.lists.values(), *self.class_names)
        if opened not in _SAID:
            _SAID.add(opened)
            for sentence in self.doubts():
                log.warning("%s: %s", self.root, sentence)

    def doubts(self) -> list[str]:
        """What is doubtful about the training images and the whole data set; see `data.doubts`."""
        records, (train, val) = self.records("train"), (self.lists["train"], self.lists["val"])
        doubts = always_tagged(records, self.class_names, list_name=train)
        doubts += seldom_tagged(records, self.class_names, list_name=train)
        doubts += doubtful_ids(record.image_id for record in records)
        if train != val:
            with suppress(InputError):  # whoever needs the other list is told
                doubts += shared_images(records, self.reader.listed(val), lists=(train, val))
        with suppress(InputError):
            lists = [*self.lists.values()]
            doubts += [*self.reader.warnings(lists), *self.reader.shapeless(lists)]
        return doubts

    def dataset(self, split: Split, *, with_masks: bool = False) -> SegmentationDataset:
        """The split as a dataset, with the ground truth if `with_masks`; see `SegmentationDataset`."""
        return self._dataset(self.records(split), with_masks=with_masks)

    def train_dataset(self) -> SegmentationDataset:
        """The training images, with their pseudo-masks if there are any.

        Raises:
            InputError: an image has no pseudo-mask, and `missing` is "raise".
        """
        if self.pseudo_masks is None:
            return self.dataset("train")
        records = with_pseudo_masks(self.records("train"), Path(self.pseudo_masks), missing=self.missing)
        return self._dataset(records, with_masks=True)

    def _dataset(self, records: Sequence[Record], *, with_masks: bool) -> SegmentationDataset:
        return SegmentationDataset(
            records,
            encode=self.labels.encode,
            size=self.size,
            mean=self.mean,
            std=self.std,
            with_masks=with_masks,
            augmentation=self.augmentation,
            seed=self.seed,
        )

    def read_target(self, record: Record) -> Mask:
        """See the function `read_target`."""
        return read_target(record, self.labels.encode)

    def train_dataloader(self) -> StepLoader:
        """Full batches; what optimiser step t learns from is a function of (seed, t) and the files (see `StepLoader`).

        With `accumulate_grad_batches=k` a step learns from k batches, the same images as one batch k times as large.
        """
        steps = ImageSteps(
            self.train_dataset(),
            batch_size=self.batch_size * accumulated(self.trainer),
            steps=self.steps,
            epochs=1 if self.steps is None else None,
            seed=self.seed,
            packed=True,
        )
        return StepLoader.of(steps, trainer=self.trainer, workers=self.workers)

    def on_before_batch_transfer(self, batch: Sample, dataloader_idx: int) -> Sample:  # noqa: ARG002
        seed_step(self.trainer, self.seed)
        return batch

    def on_after_batch_transfer(self, batch: Sample, dataloader_idx: int) -> Sample:  # noqa: ARG002
        return finished_batch(batch)  # type: ignore[no-any-return]

    def val_dataloader(self) -> DataLoader[Sample]:
        """Batches in list order without masks, on every device all of them."""
        return self._in_order(self.dataset("val"), trainer=None)

    def test_dataloader(self) -> DataLoader[Sample]:
        """The val images with `target`, a list of ground truths (H, W) uint8 at their own size, shared among devices.

        Raises:
            InputError: an image has no mask.
        """
        return self._in_order(WithTargets(self.dataset("val")), trainer=self.trainer)

    def predict_dataloader(self) -> DataLoader[Sample]:
        """The images of `predict_split` without masks, shared among devices: each is in one batch of one device."""
        return self._in_order(self.dataset(self.predict_split), trainer=self.trainer)

    def _in_order(self, images: Dataset[Sample], *, trainer: pl.Trainer | None) -> DataLoader[Sample]:
        return DataLoader(
            images,
            batch_size=self.inference_batch_size,
            sampler=OwnShare(images, trainer=trainer),
            num_workers=self.workers,
            worker_init_fn=begin_loading,
            pin_memory=on_cuda(self.trainer),
            collate_fn=collate,
            generator=torch.Generator(),  # torch's global one stays as it is
        )
