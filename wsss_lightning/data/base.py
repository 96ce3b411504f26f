"""What every data set shares: two lists of records, contiguous labels, loaders.

A data set is one subclass that turns a list into records (`read_records`). Weak supervision is kept by construction:
a mask file is opened only by a dataset made with `with_masks=True` and by `read_target`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from wsss_lightning.data.labels import LabelMap, Mask
from wsss_lightning.data.samples import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Record,
    Sample,
    SegmentationDataset,
    collate,
    read_target,
    require_image,
)
from wsss_lightning.data.steps import EachEpoch, ImageSteps, StepLoader
from wsss_lightning.data.tags import TagSource
from wsss_lightning.errors import InputError

if TYPE_CHECKING:
    import albumentations as A

__all__ = ["Record", "SegmentationDataModule", "SegmentationDataset", "Split"]

Split = Literal["train", "val", "test"]


class SegmentationDataModule(pl.LightningDataModule):
    """A data set with a train and a val list; a subclass says how a list becomes records.

    Args:
        root: the data set's folder.
        names: all its foreground classes, in the order of their mask indices 1, 2, ...
        classes: the ones to keep, in this order; tags and labels follow it, other classes are ignored (255), images
            that show none stay in the lists. None keeps all.
        train_list: name of the list to train on.
        val_list: name of the list to evaluate on.
        test_list: name of a list whose masks nobody has; None where there is none.
        tags: where image tags come from; which sources there are is the subclass's matter.
        size: (H, W) that images are resized to; None keeps each image's own, and then `batch_size` is 1.
        mean: of RGB in 0..1, the backbone's.
        std: of RGB in 0..1, the backbone's.
        batch_size: images per batch.
        augmentation: of the batches of `train_dataloader` and of their size, from a factory of `data.transforms`; None
            resizes them like all others.
        workers: loading processes; no result depends on it.
        seed: of the order and the augmentation of `train_dataloader`.

    Raises:
        InputError: `classes` names an unknown class.
    """

    has_background_images: bool = False  # whether images without a tag are meant to be there

    def __init__(
        self,
        *,
        root: Path | str,
        names: Sequence[str],
        classes: Sequence[str] | None = None,
        train_list: str = "train_aug",
        val_list: str = "val",
        test_list: str | None = None,
        tags: str = "auto",
        size: tuple[int, int] | None = None,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        batch_size: int = 1,
        augmentation: A.Compose | None = None,
        workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.root = Path(root)
        self.labels = LabelMap(tuple(names), tuple(names if classes is None else classes))
        self.lists: dict[Split, str] = {"train": train_list, "val": val_list}
        if test_list is not None:
            self.lists["test"] = test_list
        self.tags = tags
        self.size = size
        self.mean, self.std = mean, std
        self.batch_size, self.workers, self.seed = batch_size, workers, seed
        self.augmentation = augmentation
        self._records: dict[Split, list[Record]] = {}

    def read_records(self, list_name: str, *, tagged: bool) -> list[Record]:
        """Records of a list, with tags over all `names`: the one thing that a data set defines.

        Not `tagged`: no annotation is looked at, tags are all False (a test list, whose annotations nobody has).
        """
        raise NotImplementedError

    def tag_source(self) -> TagSource | None:
        """Tags over all `names` by image id where they lie apart from the lists; None where a list has its own."""
        return None

    @property
    def known_counts(self) -> Mapping[str, int]:
        """How many images the published lists have, by list name; a list that is not in it may have any number."""
        return {}

    @property
    def tags_source(self) -> str:
        """Which source the tags come from; results name it, because XML and masks give different tags."""
        return self.tags

    @property
    def class_names(self) -> tuple[str, ...]:
        """The C kept foreground classes; label i + 1 is `class_names[i]`."""
        return self.labels.kept

    @property
    def num_classes(self) -> int:
        """C, without background."""
        return len(self.labels.kept)

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
            found = self.read_records(self.lists[split], tagged=split != "test")
            self._records[split] = [replace(require_image(record), tags=record.tags[kept]) for record in found]
        return self._records[split]

    def dataset(self, split: Split, *, with_masks: bool = False) -> SegmentationDataset:
        """The split as a dataset; see `SegmentationDataset`."""
        return SegmentationDataset(
            self.records(split),
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

    def train_dataloader(self) -> DataLoader[Sample]:
        """Full batches without masks; every time through, the order and the augmentation are new (see `ImageSteps`).

        Each is a function of (seed, step, image): neither `workers` nor what else draws random numbers changes it.
        """
        steps = ImageSteps(self.dataset("train"), batch_size=self.batch_size, epochs=1, seed=self.seed, packed=True)
        return StepLoader(
            steps,
            batch_size=None,
            sampler=EachEpoch(steps.per_epoch),
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            generator=torch.Generator(),  # torch's global one stays as it is
        )

    def val_dataloader(self) -> DataLoader[Sample]:
        """Batches in list order, without masks: what scores them reads targets at their own size."""
        return DataLoader(
            self.dataset("val"),
            batch_size=self.batch_size,
            num_workers=self.workers,
            collate_fn=collate,
            generator=torch.Generator(),
        )
