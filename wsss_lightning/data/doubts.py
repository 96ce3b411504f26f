"""What a data set in order seldom shows: said once by a run, and as notes by `wsss data check`; nothing is refused."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np

from wsss_lightning.data.samples import Record


def counted(names: Collection[str], about: str) -> list[str]:
    """How many of something there are and the first of them, as a sentence; none where there is none."""
    return [f"{len(names):,} {about}, {min(names)!r} first."] if names else []


def strays(folder: Path, suffix: str, images: Collection[str], *, of: str) -> list[str]:
    """About the files of a folder that are called as none of `images`."""
    unmatched = {path.stem for path in folder.glob(f"*{suffix}")} - {*images}
    return counted(unmatched, f"files {folder}/*{suffix} meet no image of {of}")


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


def never_tagged(records: Sequence[Record], names: Sequence[str], *, list_name: str) -> list[str]:
    """About classes that no image shows, where images are tagged at all: what learns each class will refuse them."""
    shown = np.any([record.tags for record in records], axis=0)
    absent = [name for name, somewhere in zip(names, shown, strict=True) if not somewhere]
    if not absent or len(absent) == len(names):
        return []
    return counted(absent, f"classes are shown by no image of the list {list_name}")


def shared_images(first: Iterable[Record], second: Iterable[Record], *, lists: tuple[str, str]) -> list[str]:
    """About images that two lists have in common, by file or by id."""
    files = {record.image for record in first}
    common = {record.image_id for record in second if record.image in files}
    return counted(common, f"images are in both lists, {lists[0]} and {lists[1]}: take them off one of them")
