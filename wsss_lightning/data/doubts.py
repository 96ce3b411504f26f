"""What a data set in order seldom shows: said once by a run, and as notes by `wsss data check`; nothing is refused."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np

from wsss_lightning.data.samples import Record


def counted(names: Collection[str], one: str, several: str, about: str) -> list[str]:
    """`1 image is in both lists, 'a'.` or `2 images are in both lists, 'a' first.`, `one` being "image is"."""
    if len(names) > 1:
        return [f"{len(names):,} {several} {about}, {min(names)!r} first."]
    return [f"1 {one} {about}, {min(names)!r}."] if names else []


def strays(folder: Path, suffix: str, images: Collection[str], *, of: str) -> list[str]:
    """About the files of a folder that are called as none of `images`."""
    unmatched = {path.stem for path in folder.glob(f"*{suffix}")} - {*images}
    place = f"{folder}/*{suffix}"
    return counted(unmatched, f"file {place} meets", f"files {place} meet", f"no image of {of}")


def always_tagged(records: Sequence[Record], names: Sequence[str], *, list_name: str) -> list[str]:
    """About classes without a single image that does not show them; tags are those of `names`."""
    if len(records) < 2:
        return []
    everywhere = np.all([record.tags for record in records], axis=0)
    return [
        f"every image of the list {list_name} is tagged {name}: add images without it, or nothing tells it from what "
        "is around it."
        for name, always in zip(names, everywhere, strict=True)
        if always
    ]


def seldom_tagged(records: Sequence[Record], names: Sequence[str], *, list_name: str) -> list[str]:
    """About classes that no image shows, or one alone, where images are tagged at all.

    What learns each class refuses the former, and what splits images may be left without the latter.
    """
    if not records:
        return []
    shown = np.sum([record.tags for record in records], axis=0)
    absent, single = ([name for name, images in zip(names, shown, strict=True) if images == n] for n in (0, 1))
    if len(absent) == len(names):
        return []
    what = f"of the list {list_name}"
    return [
        *counted(absent, "class is", "classes are", f"shown by no image {what}"),
        *counted(single if len(records) > 1 else [], "class is", "classes are", f"shown by a single image {what}"),
    ]


def shared_images(first: Iterable[Record], second: Iterable[Record], *, lists: tuple[str, str]) -> list[str]:
    """About images that two lists have in common, by file or by id."""
    files = {record.image for record in first}
    common = {record.image_id for record in second if record.image in files}
    both = f"in both lists, {lists[0]} and {lists[1]}: leave each in one of them"
    return counted(common, "image is", "images are", both)
