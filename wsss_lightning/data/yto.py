"""YouTube-Objects (YTO): video frames whose only tag is the folder's name, listed by a manifest."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wsss_lightning.data.base import Record, SegmentationDataModule
from wsss_lightning.data.samples import IMAGENET_MEAN, IMAGENET_STD
from wsss_lightning.errors import InputError

if TYPE_CHECKING:
    import albumentations as A

# Ten of VOC's classes in its order; mask index i + 1 is YTO_CLASSES[i].
YTO_CLASSES = ("aeroplane", "bird", "boat", "car", "cat", "cow", "dog", "horse", "motorbike", "train")
MANIFEST = "manifest.csv"
COLUMNS = ("class", "video", "shot", "frame", "image", "mask", "split")
Row = dict[str, str]


class YTODataModule(SegmentationDataModule):
    """The frames of `manifest.csv`, which `wsss data prepare yto` writes; list names are its splits.

    The manifest has the columns `class,video,shot,frame,image,mask,split`, paths relative to the root; further columns
    are not looked at. A frame's one tag is its class. Its mask, needed for evaluation alone, outlines objects of that
    class: others in the picture are background, because Jain & Grauman drew one class per video.

    Args:
        root: the folder that holds `manifest.csv`.
        names: all foreground classes, in the order of the mask indices.
        train_list: the split to train on.
        val_list: the split to evaluate on.

    The other arguments are those of `SegmentationDataModule`.

    Raises:
        InputError: (when the records are read) the manifest is missing or at fault, or has no frame of a split.
    """

    def __init__(
        self,
        *,
        root: Path | str,
        names: Sequence[str] = YTO_CLASSES,
        classes: Sequence[str] | None = None,
        train_list: str = "train",
        val_list: str = "val",
        test_list: str | None = None,
        size: tuple[int, int] | None = None,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        batch_size: int = 1,
        augmentation: A.Compose | None = None,
        workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(
            root=root,
            names=names,
            classes=classes,
            train_list=train_list,
            val_list=val_list,
            test_list=test_list,
            tags="folders",
            size=size,
            mean=mean,
            std=std,
            batch_size=batch_size,
            augmentation=augmentation,
            workers=workers,
            seed=seed,
        )

    def read_records(self, list_name: str, *, tagged: bool) -> list[Record]:
        """See the base class; in the order of the manifest."""
        path = self.root / MANIFEST
        rows = [row for row in read_manifest(path, names=self.labels.names) if row["split"] == list_name]
        if not rows:
            raise InputError(f"{path} has no frame of the split {list_name!r}: choose another one, or prepare it anew.")
        return [self._record(row, tagged=tagged) for row in rows]

    def _record(self, row: Row, *, tagged: bool) -> Record:
        tags = np.array([tagged and name == row["class"] for name in self.labels.names])
        mask = self.root / row["mask"] if row["mask"] else None
        return Record(image_id=frame_id(row), image=self.root / row["image"], mask=mask, tags=tags)


def read_manifest(path: Path, *, names: Sequence[str]) -> list[Row]:
    """The rows of a manifest, every one with `COLUMNS`.

    Args:
        path: of the CSV file.
        names: the classes that a row may name.

    Raises:
        InputError: the file is missing or no such manifest, a row names another class, or two frames have one id.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, restval=""))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: run `wsss data prepare yto --root {path.parent}`.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read ({error}): run `wsss data prepare yto` again.") from error
    _check(rows, names=names, path=path)
    return rows


def frame_id(row: Row) -> str:
    """`class_video_shot_frame`, usable as a file's stem: what is neither letter, digit, `_` nor `-` becomes `-`."""
    return "_".join(re.sub(r"[^\w-]+", "-", row[column]) for column in ("class", "video", "shot", "frame"))


def _check(rows: Sequence[Row], *, names: Sequence[str], path: Path) -> None:
    if not rows or (missing := [column for column in COLUMNS if column not in rows[0]]):
        lacks = f"the columns {', '.join(missing)}" if rows else "any frame"
        raise InputError(f"{path} lacks {lacks}: run `wsss data prepare yto` again.")
    for number, row in enumerate(rows, 2):
        if row["class"] not in names:
            raise InputError(f"{path}, line {number}: {row['class']!r} is none of {', '.join(names)}; fix the line.")
    image_id, count = Counter(map(frame_id, rows)).most_common(1)[0]
    if count > 1:
        raise InputError(f"{path} has {count} frames of the id {image_id}: keep one, or rename their video.")
