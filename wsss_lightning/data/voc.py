"""PASCAL VOC 2012, with or without the SBD masks, and data sets written in its layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from wsss_lightning.data.base import Record, SegmentationDataModule
from wsss_lightning.data.lists import AUGMENTED, find_list, read_list
from wsss_lightning.data.samples import IMAGENET_MEAN, IMAGENET_STD
from wsss_lightning.data.tags import TagSource, no_tags, tags_from_masks, tags_from_npy, tags_from_xml
from wsss_lightning.errors import InputError

if TYPE_CHECKING:
    import albumentations as A

VOC_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
_TAG_FILES = ("cls_labels.npy", "cls_labels_onehot.npy")
# VOC 2012's own lists; train_aug is (VOC train + SBD train + SBD val) without VOC val.
VOC_COUNTS = {"train": 1464, "val": 1449, "trainval": 2913, "test": 1456, **dict.fromkeys(AUGMENTED, 10582)}
_SOURCES = ("auto", "xml", "npy", "masks")


class VOCDataModule(SegmentationDataModule):
    """VOC's layout: `JPEGImages`, `ImageSets`, `SegmentationClass`, `SegmentationClassAug`, `Annotations`.

    Args:
        root: the folder `VOC2012`, or one that holds it or `VOCdevkit/VOC2012`.
        names: all foreground classes in index order, where they are not VOC's.
        tags: "xml" (`Annotations`), "npy" (`cls_labels.npy` or `cls_labels_onehot.npy` in the root), "masks", or
            "auto": the first of xml and npy that is there. Masks are strong supervision and are never chosen silently.

    The other arguments are those of `SegmentationDataModule`.

    Raises:
        InputError: there is no such data set at `root`, or `tags` or `classes` is unknown.
    """

    def __init__(
        self,
        *,
        root: Path | str,
        names: Sequence[str] = VOC_CLASSES,
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
        if tags not in _SOURCES:
            raise InputError(f"tags={tags!r} is unknown: choose from {', '.join(_SOURCES)}.")
        super().__init__(
            root=_find_root(Path(root)),
            names=names,
            classes=classes,
            train_list=train_list,
            val_list=val_list,
            test_list=test_list,
            tags=tags,
            size=size,
            mean=mean,
            std=std,
            batch_size=batch_size,
            augmentation=augmentation,
            workers=workers,
            seed=seed,
        )

    @cached_property
    def tags_source(self) -> str:
        """The source in use: "xml", "npy" or "masks".

        Raises:
            InputError: `tags` is "auto" and the root has neither XML nor a tag file.
        """
        if self.tags != "auto":
            return self.tags
        if any((self.root / "Annotations").glob("*.xml")):
            return "xml"
        if any((self.root / name).is_file() for name in _TAG_FILES):
            return "npy"
        raise InputError(
            f"{self.root} has no image tags: add Annotations/*.xml or one of {', '.join(_TAG_FILES)}, "
            'or set tags="masks" to derive them from the masks.'
        )

    @property
    def known_counts(self) -> Mapping[str, int]:
        """See the base class; of data with other classes in VOC's layout nothing is known."""
        return VOC_COUNTS if self.labels.names == VOC_CLASSES else {}

    def read_records(self, list_name: str, *, tagged: bool) -> list[Record]:
        """See the base class."""
        tags = self.tag_source() if tagged else no_tags(len(self.labels.names))
        return [self._record(image_id, tags) for image_id in read_list(find_list(self.root, list_name))]

    def _record(self, image_id: str, tags: TagSource) -> Record:
        image = self.root / "JPEGImages" / f"{image_id}.jpg"
        return Record(image_id=image_id, image=image, mask=self._mask(image_id), tags=tags(image_id))

    def _mask(self, image_id: str) -> Path:
        # VOC's own mask first: it leaves object borders out (255), which SBD's masks and some conversions do not.
        own = self.root / "SegmentationClass" / f"{image_id}.png"
        return own if own.is_file() else self.root / "SegmentationClassAug" / f"{image_id}.png"

    def tag_source(self) -> TagSource:
        """See the base class."""
        names = self.labels.names
        if self.tags_source == "xml":
            return tags_from_xml(self.root / "Annotations", names=names)
        if self.tags_source == "masks":
            return tags_from_masks(self._mask, names=names)
        found = [self.root / name for name in _TAG_FILES if (self.root / name).is_file()]
        return tags_from_npy(found[0] if found else self.root / _TAG_FILES[0], names=names)


def _find_root(root: Path) -> Path:
    tried = [root, root / "VOC2012", root / "VOCdevkit" / "VOC2012"]
    for folder in tried:
        if (folder / "JPEGImages").is_dir():
            return folder
    raise InputError(f"no VOC data set: none of {', '.join(map(str, tried))} has a folder JPEGImages; set root.")
