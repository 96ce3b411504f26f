"""Which files a reader opens below its root: what of a data set enters keys.

`wsss_lightning.pipeline.readings` asks a function of this module for each reader, without importing the reader itself:
nothing here needs torch. A reader's module names its function in `FILES_READ`. Masks count by content, since two with
exchanged classes can have one size; so do lists and tags; photographs by name and size.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from wsss_lightning.data.coco_annotations import find_annotations, find_images, find_masks
from wsss_lightning.data.coco_conventions import RECORD
from wsss_lightning.data.coco_json import read_image_info
from wsss_lightning.data.folder_tags import FOLDERS, held_out_ids, read_tag_source
from wsss_lightning.data.lists import MissingListError, find_list, read_list
from wsss_lightning.data.tag_table import IMAGE_SUFFIXES, TagRow
from wsss_lightning.errors import InputError, obstacle

TAG_FILES = ("cls_labels.npy", "cls_labels_onehot.npy")  # of VOC's layout
# Names below the root, of which the first that is there is read, and whether its content counts.
Alternatives = tuple[tuple[str, ...], bool]


def voc_places(root: Path) -> list[Path]:
    """Where VOC's folder may be, seen from `root`."""
    return [root, root / "VOC2012", root / "VOCdevkit" / "VOC2012"]


def voc_root(root: Path) -> Path | None:
    """VOC's folder: `root`, or one that it holds; None where there is none."""
    return next((folder for folder in voc_places(root) if (folder / "JPEGImages").is_dir()), None)


def _lists(train_list: str | None, val_list: str | None, test_list: str | None, asked: frozenset[str]) -> list[str]:
    """The lists in use; that of test only in a stage that says `test`, so that it may be added later."""
    lists = [train_list or "train", val_list or "val", test_list if "test" in asked else None]
    return list(dict.fromkeys(name for name in lists if name is not None))


@dataclass(frozen=True)
class VOCFiles:
    """Images, masks and tags of the lists in `index`, which also names the file of the tags where there is one."""

    root: Path
    lists: tuple[str, ...]
    tags: tuple[str, ...]
    xml: bool

    @property
    def index(self) -> tuple[str, ...]:
        """Files whose content says which others are read."""
        return self.lists + self.tags

    def files(self) -> Iterator[Alternatives]:
        """All others."""
        for image_id in (image_id for name in self.lists for image_id in read_list(self.root / name)):
            yield (f"JPEGImages/{image_id}.jpg",), False
            yield (f"SegmentationClass/{image_id}.png", f"SegmentationClassAug/{image_id}.png"), True
            if self.xml:
                yield (f"Annotations/{image_id}.xml",), True

    def count(self, name: str) -> int:
        """How many images a list names."""
        return len(read_list(find_list(self.root, name)))


def voc(
    *, root: Path, train_list: str | None, val_list: str | None, test_list: str | None, tags: str, asked: frozenset[str]
) -> VOCFiles:
    """Of `data.voc`; for the arguments see there. `asked`: the words among a stage's own parameters."""
    root = voc_root(root) or root
    lists = []
    for name in _lists(train_list, val_list, test_list, asked):
        try:
            lists.append(find_list(root, name).relative_to(root).as_posix())
        except MissingListError:
            continue
    xml = tags == "xml" or (tags == "auto" and any((root / "Annotations").glob("*.xml")))
    tag_files = TAG_FILES if tags == "npy" or (tags == "auto" and not xml) else ()
    first = next(((name,) for name in tag_files if (root / name).is_file()), ())
    return VOCFiles(root, tuple(lists), first, xml)


@dataclass(frozen=True)
class COCOFiles:
    """Images and label maps of annotation files; each with the folders of both."""

    root: Path
    lists: tuple[tuple[str, str, str], ...]

    @property
    def index(self) -> tuple[str, ...]:
        """Annotation files, and what is recorded of the label maps."""
        return tuple(name for path, _, masks in self.lists for name in (path, f"{masks}/{RECORD}"))

    def files(self) -> Iterator[Alternatives]:
        """All others."""
        for path, images, masks in self.lists:
            for image in read_image_info(self.root / path)["images"]:
                stem = PurePosixPath(image["file_name"]).stem
                yield (f"{images}/{image['file_name']}",), False
                yield (f"{masks}/{stem}.png", f"{masks}/{image['id']}.png"), True

    def count(self, name: str) -> int:
        """How many images an annotation file names."""
        paths = [path for path, _, _ in self.lists if path.endswith(f"_{name}.json")]
        return sum(len(read_image_info(self.root / path)["images"]) for path in paths)


def coco(
    *, root: Path, train_list: str | None, val_list: str | None, test_list: str | None, asked: frozenset[str]
) -> COCOFiles:
    """Of `data.coco`; an image of test has neither annotations nor a label map."""
    lists = []
    for name in _lists(train_list, val_list, test_list, asked):
        try:
            path = find_annotations(root, name, kind="image_info" if name == test_list else "instances")
        except MissingListError:
            continue
        places = (path, find_images(root, name), find_masks(root, name))
        first, second, third = (place.relative_to(root).as_posix() for place in places)
        lists.append((first, second, third))
    return COCOFiles(root, tuple(lists))


@dataclass(frozen=True)
class ManifestFiles:
    """Files that lines of CSV files name in the columns `image` and `mask`; of `splits` where it is not empty."""

    root: Path
    index: tuple[str, ...]
    splits: tuple[str, ...]

    def files(self) -> Iterator[Alternatives]:
        """All others."""
        for name in self.index:
            for row in _rows(self.root / name):
                if not self.splits or row.get("split") in self.splits:
                    yield (row.get("image") or "",), False
                    yield (row.get("mask") or "",), True

    def count(self, name: str) -> int:
        """How many lines of CSV files are of a split, or stand in the file of that name."""
        rows = [row for each in self.index if each == f"{name}.csv" or self.splits for row in _rows(self.root / each)]
        return sum(not self.splits or row.get("split") == name for row in rows)


def yto(
    *, root: Path, train_list: str | None, val_list: str | None, test_list: str | None, asked: frozenset[str]
) -> ManifestFiles:
    """Of `data.yto`."""
    return ManifestFiles(root, ("manifest.csv",), tuple(_lists(train_list, val_list, test_list, asked)))


def imagenet(
    *, root: Path, train_list: str | None, val_list: str | None, test_list: str | None, asked: frozenset[str]
) -> ManifestFiles:
    """Of `data.imagenet`."""
    return ManifestFiles(root, tuple(f"{name}.csv" for name in _lists(train_list, val_list, test_list, asked)), ())


def _rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield from csv.DictReader(file, restval="")
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        again = f"{path} cannot be read ({error}): prepare the data set again."
        raise obstacle(path, error) or InputError(again) from error


@dataclass(frozen=True)
class FolderFiles:
    """Images and masks of a source of tags, divided by its column `split`, by lists beside it, or not at all."""

    root: Path
    tags: str
    images: str
    masks: str | None
    lists: tuple[str, ...]
    placed: tuple[str, ...] = ()  # images whose tags are the folders that they lie in
    held_out: float = field(default=0.0, repr=False)  # it tells which images are val's, not which are read

    @property
    def index(self) -> tuple[str, ...]:
        """The file of the tags and the lists."""
        return (self.tags, *(f"{name}.txt" for name in self.lists))

    def files(self) -> Iterator[Alternatives]:
        """All others; every image of the tags where nothing divides them."""
        if not self.placed and not (self.root / self.tags).is_file():
            return
        for row in self._rows():
            names = (row.image, *(row.image + suffix for suffix in IMAGE_SUFFIXES))
            yield tuple(f"{self.images}/{name}" for name in names), False
            if self.masks is not None:
                yield (f"{self.masks}/{row.image_id}.png",), True

    def count(self, name: str) -> int:
        """How many images are of a split."""
        rows = self._rows()
        listed = self.root / f"{name}.txt"
        if any(row.split for row in rows):
            return sum(row.split == name for row in rows)
        if listed.is_file():
            return len(read_list(listed))
        val = held_out_ids(rows, self.held_out) if self.held_out else frozenset()
        return len(rows) if not val else len(val) if name == "val" else len(rows) - len(val)

    def _rows(self) -> list[TagRow]:
        table = read_tag_source(self.root, images=self.images, tags=self.tags, names=())
        given = [self.root / name for name in self.index[1:]]
        listed = {image_id for path in given if path.is_file() for image_id in read_list(path)}
        if "all" in self.lists or not (table.divided or listed):
            return list(table.rows)
        return [row for row in table.rows if (row.split in self.lists if table.divided else row.image_id in listed)]


def folder(
    *,
    root: Path,
    tags: str = "tags.csv",
    images: str = "JPEGImages",
    masks: str | None = None,
    train_list: str | None = None,
    val_list: str | None = None,
    test_list: str | None = None,
    held_out: float = 0.0,
    asked: frozenset[str],
) -> FolderFiles:
    """Of `data.folder`, and of `data.web`, whose images lie in `JPEGImages`."""
    lists, placed = _lists(train_list, val_list, test_list, asked), tuple[str, ...]()
    if tags == FOLDERS and (root / images).is_dir():
        placed = tuple(row.image for row in read_tag_source(root, images=images, tags=tags, names=()).rows)
    return FolderFiles(root, tags, images, masks, tuple(lists), placed, held_out)
