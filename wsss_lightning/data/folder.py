"""Any folder of images with a CSV of tags: the way in for one's own data."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.doubts import counted, strays
from wsss_lightning.data.lists import MissingListError, read_list
from wsss_lightning.data.reader import Reader, Split
from wsss_lightning.data.samples import Record
from wsss_lightning.data.tag_table import IMAGE_SUFFIXES, TagRow, read_tags

ALL = "all"  # the list of every image
FILES_READ = "wsss_lightning.data.fingerprint.folder"


class FolderReader(Reader):
    """A folder of images, a CSV of their tags and, for evaluation alone, a folder of index PNGs.

    `data.tag_table.read_tags` describes the CSV. Its column `split`, or else lists `train.txt` and `val.txt` in the
    root, divide the images; where neither is there, all images are for training and all are predicted. A list is a
    value of `split`, such a file's name or "all"; the tags of a test list are not looked at.

    Args:
        root: the folder that holds all this.
        names: all foreground classes in the order of the mask indices 1, 2, ...; None takes those of the CSV.
        images: the folder of the images.
        tags: the CSV file.
        masks: the folder of the masks, `<image id>.png`; None, or one that does not exist, where there are no masks.

    Raises:
        InputError: the CSV is missing or at fault, or names a class that is not in `names`.
    """

    def __init__(
        self,
        root: Path | str,
        *,
        names: Sequence[str] | None = None,
        images: str = "images",
        tags: str = "tags.csv",
        masks: str | None = "masks",
    ) -> None:
        self.table = read_tags(Path(root) / tags, names=names)
        super().__init__(root, names=self.table.names, tags=tags)
        self.images = self.root / images
        self.masks = self.root / masks if masks and (self.root / masks).is_dir() else None

    def default_list(self, split: Split) -> str:
        """`split` where the images are divided, else all of them."""
        divided = self.table.divided or any((self.root / f"{name}.txt").is_file() for name in ("train", "val"))
        return split if divided else ALL

    def read_records(self, list_name: str, *, tagged: bool) -> list[Record]:
        """See the base class; in the order of the CSV or of the list."""
        return [self._record(row, tagged=tagged) for row in self._rows(list_name)]

    def warnings(self, lists: Sequence[str]) -> list[str]:
        """See the base class: lines of the CSV that no list uses, images without a line, masks that meet no image."""
        rows = {row.image_id: row for row in self.table.rows}
        used: set[str] = set()
        for name in lists:
            with suppress(MissingListError):
                used |= {row.image_id for row in self._rows(name)}
        splits = sorted({repr(row.split) for row in rows.values() if row.image_id not in used})
        about = f"images of {self.table.path} are in none of the lists {', '.join(dict.fromkeys(lists))}"
        if self.table.divided:
            about += f" but in {', '.join(splits)}"
        images = {path.stem for path in self.images.glob("*") if path.suffix.lower() in IMAGE_SUFFIXES}
        unknown = counted(images - rows.keys(), f"images of {self.images} are not in {self.table.path.name}")
        masks = strays(self.masks, ".png", rows, of=self.table.path.name) if self.masks else []
        return [*super().warnings(lists), *counted(rows.keys() - used, about), *unknown, *masks]

    def _rows(self, list_name: str) -> list[TagRow]:
        path = self.root / f"{list_name}.txt"
        if list_name == ALL:
            return list(self.table.rows)
        if not self.table.divided and path.is_file():
            return [self.table.find(image_id, listed_in=path) for image_id in read_list(path)]
        rows = [row for row in self.table.rows if row.split == list_name]
        if not rows:
            place = f"the column split of {self.table.path}" if self.table.divided else path
            raise MissingListError(f"no image of the list {list_name!r}: name some in {place}, or choose {ALL!r}.")
        return rows

    def _record(self, row: TagRow, *, tagged: bool) -> Record:
        tags = np.array([tagged and name in row.tags for name in self.names])
        mask = self.masks / f"{row.image_id}.png" if self.masks else None
        return Record(image_id=row.image_id, image=self._image(row), mask=mask, tags=tags)

    def _image(self, row: TagRow) -> Path:
        path = self.images / row.image
        tried = (path, *(path.with_name(path.name + suffix) for suffix in IMAGE_SUFFIXES))
        return next((candidate for candidate in tried if candidate.is_file()), path)


@dataclass(kw_only=True, eq=False, repr=False)
class FolderDataModule(SegmentationDataModule):
    """`SegmentationDataModule` of a `FolderReader`, whose arguments it takes in place of the reader."""

    root: Path | str
    names: Sequence[str] | None = None
    images: str = "images"
    tags: str = "tags.csv"
    masks: str | None = "masks"
    reader: Reader = field(init=False)

    def __post_init__(self) -> None:
        self.reader = FolderReader(self.root, names=self.names, images=self.images, tags=self.tags, masks=self.masks)
        super().__post_init__()
