"""Any folder of images with their tags: the way in for one's own data."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.coco_conventions import require_names
from wsss_lightning.data.doubts import counted, strays
from wsss_lightning.data.folder_tags import FOLDERS, held_out_ids, read_tag_source
from wsss_lightning.data.labels import LabelMap
from wsss_lightning.data.lists import MissingListError, read_list
from wsss_lightning.data.reader import Reader, Split
from wsss_lightning.data.samples import Record
from wsss_lightning.data.tag_table import IMAGE_SUFFIXES, TagRow
from wsss_lightning.errors import InputError

ALL = "all"  # the list of every image
FILES_READ = "wsss_lightning.data.fingerprint.folder"


class FolderReader(Reader):
    """A folder of images, their tags and, for evaluation alone, a folder of index PNGs.

    `data.folder_tags.read_tag_source` says where tags can come from. The CSV's column `split` or folders of this name,
    or else lists `train.txt` and `val.txt` in the root, divide the images. Where neither is there, `held_out` of them
    are val and the others train, or, with 0, all are for training and all are predicted. A list is a value of `split`,
    such a file's name or "all"; the tags of a test list are not looked at.

    Args:
        root: the folder that holds all this.
        names: all foreground classes in the order of the mask indices 1, 2, ...; None takes those of the tags.
        images: the folder of the images.
        tags: the CSV file, an annotation file in COCO's form (`.json`), or "folders".
        masks: the folder of the masks, `<image id>.png`; None, or one that does not exist, where there are no masks.
        held_out: share of the images of an undivided folder that are kept out of training, see `held_out_ids`.

    Raises:
        InputError: the tags are missing or at fault, name a class that is not in `names`, or `held_out` is no share.
    """

    def __init__(
        self,
        root: Path | str,
        *,
        names: Sequence[str] | None = None,
        images: str = "images",
        tags: str = "tags.csv",
        masks: str | None = "masks",
        held_out: float = 0.0,
    ) -> None:
        if not 0 <= held_out < 1:
            raise InputError(f"data.held_out={held_out} is no share of the images: give 0 or more, and less than 1.")
        self.table = read_tag_source(Path(root), images=images, tags=tags, names=names)
        super().__init__(root, names=self.table.names, tags=tags)
        self.images = self.root / images
        self.masks = self.root / masks if masks and (self.root / masks).is_dir() else None
        divided = self.table.divided or any((self.root / f"{name}.txt").is_file() for name in ("train", "val"))
        self.held_out = None if divided or not held_out else held_out_ids(self.table.rows, held_out)
        self.undivided = not divided and not held_out

    def default_list(self, split: Split) -> str:
        """`split` where the images are divided, or some held out, else all of them."""
        return ALL if self.undivided else split

    def label_map(self, kept: Sequence[str], lists: Sequence[str]) -> LabelMap:
        """See the base class; masks that `wsss data prepare folder` painted say of which classes they are."""
        if self.masks is not None:
            require_names(self.masks, self.names)
        return super().label_map(kept, lists)

    def read_records(self, list_name: str, *, tagged: bool) -> list[Record]:
        """See the base class; in the order of the CSV or of the list."""
        if not self.images.is_dir():
            raise InputError(f"There is no folder {self.images}: put the images there, or set data.images.")
        records = []
        for row in self._rows(list_name):
            tags = np.array([tagged and name in row.tags for name in self.names])
            mask = self.masks / f"{row.image_id}.png" if self.masks else None
            path = self.images / row.image
            tried = (path, *(path.with_name(path.name + suffix) for suffix in IMAGE_SUFFIXES))
            image = next((candidate for candidate in tried if candidate.is_file()), path)
            records.append(Record(image_id=row.image_id, image=image, mask=mask, tags=tags))
        return records

    def warnings(self, lists: Sequence[str]) -> list[str]:
        """See the base class: lines of the CSV that no list uses, images without a line, masks that meet no image."""
        rows = {row.image_id: row for row in self.table.rows}
        used: set[str] = set()
        for name in lists:
            with suppress(MissingListError):
                used |= {row.image_id for row in self._rows(name)}
        splits = sorted({repr(row.split) for row in rows.values() if row.image_id not in used})
        about = f"in none of the lists {', '.join(dict.fromkeys(lists))}"
        if self.table.divided:
            about += f" but in {', '.join(splits)}"
        images = {path.stem for path in self.images.glob("*") if path.suffix.lower() in IMAGE_SUFFIXES}
        where = "in no folder of a class" if self.tags == FOLDERS else f"not in {self.table.path.name}"
        unknown = counted(images - rows.keys(), f"image in {self.images} is", f"images in {self.images} are", where)
        masks = strays(self.masks, ".png", rows, of=self.table.path.name) if self.masks else []
        return [
            *super().warnings(lists),
            *counted(rows.keys() - used, f"image of {self.table.path} is", f"images of {self.table.path} are", about),
            *unknown,
            *masks,
            *self._about_val(lists),
        ]

    def _about_val(self, lists: Sequence[str]) -> list[str]:
        """Where figures on val come from, if nobody has divided the images."""
        if [*lists[:2]] == [ALL, ALL]:
            return ["no image is held out, so figures on val are of training images: set data.held_out or a split."]
        if self.held_out is None or "val" not in lists:
            return []
        count = f"{len(self.held_out):,} of {len(self.table.rows):,} images"
        return [f"{count} are held out for val (data.held_out), since neither a column split nor lists divide them."]

    def _rows(self, list_name: str) -> list[TagRow]:
        path = self.root / f"{list_name}.txt"
        if list_name == ALL:
            return list(self.table.rows)
        if not self.table.divided and path.is_file():
            return [self.table.find(image_id, listed_in=path) for image_id in read_list(path)]
        if self.held_out is not None and list_name in ("train", "val"):
            rows = [row for row in self.table.rows if (row.image_id in self.held_out) == (list_name == "val")]
        else:
            rows = [row for row in self.table.rows if row.split == list_name]
        if not rows:
            if self.held_out is not None:
                raise MissingListError(
                    f"no image of {self.table.path} can be held out so that each class keeps one to train on: "
                    "set data.held_out=0, or add images."
                )
            place = f"the column split of {self.table.path}" if self.table.divided else str(path)
            if self.table.divided and self.tags == FOLDERS:
                place = f"the folder {self.table.path / list_name}"
            raise MissingListError(f"no image of the list {list_name!r}: name some in {place}, or choose {ALL!r}.")
        return rows


@dataclass(kw_only=True, eq=False, repr=False)
class FolderDataModule(SegmentationDataModule):
    """`SegmentationDataModule` of a `FolderReader`, whose arguments it takes in place of the reader."""

    root: Path | str
    names: Sequence[str] | None = None
    images: str = "images"
    tags: str = "tags.csv"
    masks: str | None = "masks"
    held_out: float = 0.0
    reader: Reader = field(init=False)

    def __post_init__(self) -> None:
        self.reader = FolderReader(
            self.root,
            names=self.names,
            images=self.images,
            tags=self.tags,
            masks=self.masks,
            held_out=self.held_out,
        )
        super().__post_init__()
