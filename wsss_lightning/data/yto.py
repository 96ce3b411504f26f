"""YouTube-Objects (YTO): video frames whose only tag is the folder's name, listed by a manifest."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.doubts import counted
from wsss_lightning.data.names import require_distinct_ids, require_image_id, require_relative
from wsss_lightning.data.reader import Reader
from wsss_lightning.data.samples import Record
from wsss_lightning.errors import InputError, obstacle

# Ten of VOC's classes in its order; mask index i + 1 is YTO_CLASSES[i].
YTO_CLASSES = ("aeroplane", "bird", "boat", "car", "cat", "cow", "dog", "horse", "motorbike", "train")
MANIFEST = "manifest.csv"
COLUMNS = ("class", "video", "shot", "frame", "image", "mask", "split")
ManifestRow = dict[str, str]
FILES_READ = "wsss_lightning.data.fingerprint.yto"


class YTOReader(Reader):
    """The frames of `manifest.csv`, which `wsss data prepare yto` writes; list names are its splits.

    The manifest has the columns `class,video,shot,frame,image,mask,split`, paths relative to the root; further columns
    are not looked at. A frame's one tag is its class. Its mask, needed for evaluation alone, outlines objects of that
    class: others in the picture are background, because Jain & Grauman drew one class per video.

    Args:
        root: the folder that holds `manifest.csv`.
        names: all foreground classes, in the order of the mask indices.

    Raises:
        InputError: (when the records are read) the manifest is missing or at fault, or has no frame of a split.
    """

    def __init__(self, root: Path | str, *, names: Sequence[str] = YTO_CLASSES) -> None:
        super().__init__(root, names=names, tags="folders")

    def read_records(self, list_name: str, *, tagged: bool) -> list[Record]:
        """See the base class; in the order of the manifest."""
        path = self.root / MANIFEST
        rows = [row for row in read_rows(path, names=self.names) if row["split"] == list_name]
        if not rows:
            raise InputError(f"{path} has no frame of the split {list_name!r}: choose another one, or prepare it anew.")
        records = []
        for row in rows:
            tags = np.array([tagged and name == row["class"] for name in self.names])
            mask = self.root / row["mask"] if row["mask"] else None
            records.append(Record(image_id=frame_id(row), image=self.root / row["image"], mask=mask, tags=tags))
        return records

    def warnings(self, lists: Sequence[str]) -> list[str]:
        """See the base class: also frames of the manifest that no list uses."""
        rows = read_rows(self.root / MANIFEST, names=self.names)
        unused = {frame_id(row): row["split"] for row in rows if row["split"] not in lists}
        splits = ", ".join(sorted({repr(split) for split in unused.values()}))
        return [
            *super().warnings(lists),
            *counted(unused, f"frame of {MANIFEST} is", f"frames of {MANIFEST} are", f"in no list but in {splits}"),
        ]


@dataclass(kw_only=True, eq=False, repr=False)
class YTODataModule(SegmentationDataModule):
    """`SegmentationDataModule` of a `YTOReader`, whose arguments it takes in place of the reader."""

    root: Path | str
    names: Sequence[str] = YTO_CLASSES
    train_list: str | None = "train"
    val_list: str | None = "val"
    reader: Reader = field(init=False)

    def __post_init__(self) -> None:
        self.reader = YTOReader(self.root, names=self.names)
        super().__post_init__()


def read_rows(path: Path, *, names: Sequence[str]) -> list[ManifestRow]:
    """The rows of a manifest, every one with `COLUMNS`.

    Args:
        path: of the CSV file.
        names: the classes that a row may name.

    Raises:
        InputError: the file is missing or no such manifest, a row names another class, or two frames have one id.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, restval="", strict=True))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: run `wsss data prepare yto --root {path.parent}`.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        again = f"{path} cannot be read ({error}): run `wsss data prepare yto` again."
        raise obstacle(path, error) or InputError(again) from error
    _check(rows, names=names, path=path)
    return [{column: value.strip() if column == "split" else value for column, value in row.items()} for row in rows]


def frame_id(row: ManifestRow) -> str:
    """`class_video_shot_frame`, usable as a file's stem: what is neither letter, digit, `_` nor `-` becomes `-`."""
    return "_".join(re.sub(r"[^\w-]+", "-", row[column]) for column in ("class", "video", "shot", "frame"))


def _check(rows: Sequence[ManifestRow], *, names: Sequence[str], path: Path) -> None:
    if not rows or (missing := [column for column in COLUMNS if column not in rows[0]]):
        lacks = f"the columns {', '.join(missing)}" if rows else "any frame"
        raise InputError(f"{path} lacks {lacks}: run `wsss data prepare yto` again.")
    for number, row in enumerate(rows, 2):
        where = f"{path}, line {number}"
        if None in row:
            raise InputError(f"{where} has more values than there are columns: put those with a comma into quotes.")
        if row["class"] not in names:
            raise InputError(f"{where}: {row['class']!r} is none of {', '.join(names)}; fix the line.")
        require_image_id(frame_id(row), where)
        for column in ("image", "mask") if row["mask"] else ("image",):
            require_relative(row[column], f"{where}, {column}")
    require_distinct_ids(((frame_id(row), row["image"]) for row in rows), path)
