"""Where the tags of one's own images come from: a CSV, annotations in COCO's form, or the folders that they lie in."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from wsss_lightning.data.coco_annotations import by_image, class_numbers
from wsss_lightning.data.coco_json import read_annotations
from wsss_lightning.data.names import require_class_names, require_distinct_ids, require_image_id
from wsss_lightning.data.tag_table import IMAGE_SUFFIXES, TagRow, TagTable, read_tags, say_classes
from wsss_lightning.errors import InputError

FOLDERS = "folders"  # in place of a file's name
_SPLITS = {"train", "val", "test"}


def read_tag_source(root: Path, *, images: str, tags: str, names: Sequence[str] | None) -> TagTable:
    """Images, tags and classes of a folder.

    Args:
        root: the folder.
        images: the folder of the images in it.
        tags: a CSV (`tag_table.read_tags`) or a `.json` in COCO's form in `root`, whose file names are those below
            `images`; or "folders": `<images>/<class>/...`, or `<images>/<split>/<class>/...` with the splits train,
            val and test, where an image's id is its path below `images` with `_` between.
        names: the classes that there are, in the order of the mask indices. None: those that an image shows, in the
            order of the file's categories or of the folders' names, and the log says so.

    Raises:
        InputError: there is no such file or folder, it is at fault, or names another class than `names`.
    """
    if tags == FOLDERS:
        return _of_folders(root / images, names=names)
    if not (root / tags).is_file():
        raise InputError(
            f"{root / tags} does not exist: write `image,tags` there above lines such as `a.jpg,cat;dog`, or set "
            "data.tags=FILE.json for annotations in COCO's form, data.tags=folders for a folder of each class."
        )
    return _of_coco(root / tags, names=names) if tags.endswith(".json") else read_tags(root / tags, names=names)


def annotated_classes(path: Path, *, names: Sequence[str] | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """`names`, or the categories in COCO's form that an annotation is of, in the file's order; and the others."""
    content = read_annotations(path, outlines=False)
    used = {annotation["category_id"] for annotation in content["annotations"]}
    shown = dict.fromkeys(category["name"] for category in content["categories"] if category["id"] in used)
    known = tuple(names or shown)
    require_class_names(known, path)
    return known, tuple({category["name"] for category in content["categories"]} - {*known, *shown})


def _of_coco(path: Path, *, names: Sequence[str] | None) -> TagTable:
    content, (known, unused) = read_annotations(path, outlines=False), annotated_classes(path, names=names)
    numbers = class_numbers(content, names=[*known, *unused], path=path)
    shown = {
        image: frozenset(known[numbers[annotation["category_id"]]] for annotation in annotations)
        for image, annotations in by_image(content).items()
    }
    entries = enumerate(content["images"])
    rows = tuple(
        TagRow(place, image["file_name"], shown.get(image["id"], frozenset()), None) for place, image in entries
    )
    return _said(TagTable(path, known, rows, divided=False), names)


def _of_folders(images: Path, *, names: Sequence[str] | None) -> TagTable:
    if not images.is_dir():
        raise InputError(f"There is no folder {images}: put a folder for each class there, or set data.images.")
    divided = {path.name for path in images.iterdir() if path.is_dir() and not path.name.startswith(".")} <= _SPLITS
    rows = tuple(_rows(images, divided=divided))
    if not rows:
        raise InputError(f"{images} has no images in folders of their classes: put them into {images / 'CLASS'}.")
    require_distinct_ids(((row.image_id, images / row.image) for row in rows), images)
    classes = sorted({name for row in rows for name in row.tags})
    if unknown := sorted({*classes} - {*(names or classes)}):
        raise InputError(
            f"{images}: the folder {unknown[0]} is none of {', '.join(names or ())}: add it to data.names."
        )
    require_class_names(names or classes, images)
    return _said(TagTable(images, tuple(names or classes), rows, divided=divided), names)


def _rows(images: Path, *, divided: bool) -> Iterator[TagRow]:
    for line, path in enumerate(sorted(images.rglob("*"))):
        *folders, _ = parts = path.relative_to(images).parts
        hidden = any(part.startswith(".") for part in parts)
        if hidden or path.suffix.lower() not in IMAGE_SUFFIXES or len(folders) <= divided or not path.is_file():
            continue
        image_id = require_image_id("_".join([*folders, path.stem]), path)
        split = folders[0] if divided else None
        yield TagRow(line, "/".join(parts), frozenset({folders[divided]}), split, image_id)


def _said(table: TagTable, names: Sequence[str] | None) -> TagTable:
    if names is None:
        say_classes(table)
    return table


def held_out_ids(rows: Sequence[TagRow], share: float) -> frozenset[str]:
    """Ids of `share` of the images, at least one, in the order of their ids' SHA-256: others come and go, these stay.

    An image stays in training where it is the last of one of its classes there.
    """
    left, chosen = Counter(name for row in rows for name in row.tags), set[str]()
    for row in sorted(rows, key=lambda row: hashlib.sha256(row.image_id.encode()).digest()):
        if len(chosen) < max(1, round(share * len(rows))) and all(left[name] > 1 for name in row.tags):
            chosen.add(row.image_id)
            left.subtract(row.tags)
    return frozenset(chosen)
