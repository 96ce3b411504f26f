"""Cats and dogs of ImageNet against its other images, for training only (patches sec. 3.1)."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.lists import MissingListError
from wsss_lightning.data.names import require_image_id, require_relative
from wsss_lightning.data.reader import Reader
from wsss_lightning.data.samples import Record
from wsss_lightning.errors import InputError, obstacle

CAT_DOG_CLASSES = ("cat", "dog")
FILES_READ = "wsss_lightning.data.fingerprint.imagenet"


class CatDogReader(Reader):
    """Lists `<list>.csv` in the root, as `wsss data prepare imagenet` writes them; an image without tags is background.

    ImageNet has no masks: the method that is trained here is evaluated on another data set, VOC's val.

    Args:
        root: the folder that holds the lists; the images in them are relative to it.
    """

    has_background_images = True

    def __init__(self, root: Path | str) -> None:
        super().__init__(root, names=CAT_DOG_CLASSES, tags="synsets")

    def read_records(self, list_name: str, *, tagged: bool) -> list[Record]:
        """See the base class; in the order of the list.

        Raises:
            InputError: there is no such list, or it is damaged, empty or names an image twice.
        """
        path = self.root / f"{list_name}.csv"
        # Every record shares one of these arrays: a million of their own take longer to make than the list to read.
        tags = {values: np.array(values) == "1" for values in product("01", repeat=len(CAT_DOG_CLASSES))}
        absent = tags["0", "0"]
        records = [
            Record(image_id=image_id, image=self.root / image, mask=None, tags=tags[cat, dog] if tagged else absent)
            for image_id, image, cat, dog in _read_rows(path)
        ]
        if not records:
            remedy = "choose a list that has some, or prepare it with another --held-out"
            raise InputError(f"{path} names no image: {remedy}.")
        if len({record.image_id for record in records}) < len(records):
            image_id, count = Counter(record.image_id for record in records).most_common(1)[0]
            raise InputError(f"{path} names {image_id} {count} times: keep one of these lines.")
        return records


@dataclass(kw_only=True, eq=False, repr=False)
class CatDogDataModule(SegmentationDataModule):
    """`SegmentationDataModule` of a `CatDogReader`; `held_out` has images that no network learns from."""

    root: Path | str
    train_list: str | None = "train"
    val_list: str | None = "held_out"
    reader: Reader = field(init=False)

    def __post_init__(self) -> None:
        self.reader = CatDogReader(self.root)
        super().__post_init__()


def _read_rows(path: Path) -> Iterator[list[str]]:
    """The lines below the header, each `image_id, image, 0 or 1, 0 or 1`."""
    remedy = "write it with `wsss data prepare imagenet`"
    if not path.is_file():
        raise MissingListError(f"{path} does not exist: {remedy}.")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file, strict=True)
            if next(lines, None) != ["image_id", "image", *CAT_DOG_CLASSES]:
                raise InputError(f"{path} has not the columns image_id,image,cat,dog: {remedy}.")
            for line in lines:
                if len(line) != 4 or not {*line[2:]} <= {"0", "1"}:
                    raise InputError(
                        f"{path}, line {lines.line_num}: {line} is no id, image and two of 0, 1: {remedy}."
                    )
                require_image_id(line[0], f"{path}, line {lines.line_num}")
                require_relative(line[1], f"{path}, line {lines.line_num}")
                yield line
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise obstacle(path, error) or InputError(f"{path} cannot be read ({error}): {remedy}.") from error
