"""Cats, dogs and background out of ImageNet's class folders and its synset tree (patches sec. 3.1)."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from wsss_lightning.atomic import replace_file
from wsss_lightning.data.prepare.imagenet_classes import (
    ClassFolder,
    decode_classes,
    find_classes,
    image_id,
    require_synsets,
    unpack_classes,
)
from wsss_lightning.data.prepare.synsets import Tree, below, read_synsets, read_tree
from wsss_lightning.errors import InputError

BACKGROUND_IMAGES = 1_200_000  # patches sec. 3.1: "around 1.2M"


@dataclass(frozen=True)
class Subtree:
    """A class of ours, the synset that is above all its images, and the paper's numbers of sub-classes and images."""

    name: str
    synset: str
    sub_classes: int
    images: int


# patches sec. 3.1; n02121620, "cat, true cat", is above wild cats such as the lynx, too
SUBTREES = (Subtree("cat", "n02121620", 30, 37_345), Subtree("dog", "n02084071", 164, 187_775))


@dataclass(frozen=True)
class Count:
    """Of a class of ours: the synsets with images, without the one above all, and the images of all of them."""

    sub_classes: int
    images: int


@dataclass(frozen=True)
class PreparedImagenet:
    """What was prepared.

    Args:
        counts: of cat, dog and background; what is below both cat and dog counts for both.
        lists: how many images each list has.
        left_out: why a file is in none, by its path below the root.
    """

    counts: Mapping[str, Count]
    lists: Mapping[str, int]
    left_out: Mapping[str, str]

    @property
    def incomplete(self) -> list[str]:
        """The classes with fewer sub-classes than in the paper, as those of ILSVRC 2012."""
        return [tree.name for tree in SUBTREES if self.counts[tree.name].sub_classes < tree.sub_classes]


def prepare_imagenet(
    root: Path,
    *,
    held_out: float,
    is_a: Path | None = None,
    processes: int = 1,
    progress: bool = True,
) -> PreparedImagenet:
    """Write `train.csv` and `held_out.csv` (image_id,image,cat,dog), and `left_out.csv` of what does not decode.

    Args:
        root: the folder with class folders `n########` or archives `n########.tar`, or with `train` that has them.
        held_out: the share of the images, in [0, 1), that `held_out.csv` gets.
        is_a: ImageNet's `wordnet.is_a.txt`, by default the one in `root`; `words.txt` may lie beside it.
        processes: how many class folders are worked on at once.
        progress: show bars.

    Raises:
        InputError: the tree is missing, damaged or without cats or dogs; there are no class folders, or one is no
            synset of the tree; an archive is damaged; `root` cannot be written to.
    """
    path = is_a or root / "wordnet.is_a.txt"
    tree = read_tree(path)
    subtrees = {subtree.name: _below(tree, subtree, path) for subtree in SUBTREES}
    folder = find_classes(root)
    require_synsets(folder, tree.keys() | read_synsets(path.with_name("words.txt")))
    if not os.access(root, os.W_OK):
        raise InputError(f"{root} is read-only: set --root to a folder of yours with a link `train` to the images.")
    unpack_classes(folder, processes=processes, progress=progress)
    classes = decode_classes(folder, cache=root / ".decoded", processes=processes, progress=progress)
    return _write_lists(root, PurePosixPath(folder.relative_to(root)), classes, subtrees, held_out)


def is_held_out(image_id: str, share: float) -> bool:
    """Whether an image is one of the held-out ones, by a hash of its id: adding images moves no other."""
    return int.from_bytes(hashlib.sha256(image_id.encode()).digest()[:4]) < share * 2**32


def _below(tree: Tree, subtree: Subtree, path: Path) -> set[str]:
    if subtree.synset not in tree:
        raise InputError(
            f"{path} has no synset {subtree.synset} ({subtree.name}): set --is-a to ImageNet's wordnet.is_a.txt."
        )
    return below(tree, subtree.synset)


def _write_lists(
    root: Path, place: PurePosixPath, classes: Sequence[ClassFolder], subtrees: Mapping[str, set[str]], share: float
) -> PreparedImagenet:
    header = ("image_id", "image", *subtrees)
    lists = {}
    for name, is_here in {"train": False, "held_out": True}.items():
        rows = (row for row in _rows(place, classes, subtrees) if is_held_out(row[0], share) == is_here)
        lists[name] = _write(root / f"{name}.csv", header, rows)
    left_out = {f"{place / folder.synset}/{name}": why for folder in classes for name, why in folder.faults.items()}
    _write(root / "left_out.csv", ("image", "reason"), left_out.items())
    counts = {tree.name: _count([c for c in classes if c.synset in subtrees[tree.name]], tree) for tree in SUBTREES}
    others = [folder for folder in classes if not any(folder.synset in synsets for synsets in subtrees.values())]
    return PreparedImagenet(counts | {"background": _count(others)}, lists, left_out)


def _rows(
    place: PurePosixPath, classes: Sequence[ClassFolder], subtrees: Mapping[str, set[str]]
) -> Iterator[tuple[str, ...]]:
    for folder in classes:
        tags = ["1" if folder.synset in synsets else "0" for synsets in subtrees.values()]
        path = place / folder.synset
        for name in folder.images:
            yield image_id(name), f"{path}/{name}", *tags


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> int:
    """Write a CSV file and return how many rows it has: they are too many for a list."""
    count = 0

    def write(temporary: Path) -> None:
        nonlocal count
        with temporary.open("w", newline="", encoding="utf-8") as file:
            lines = csv.writer(file, lineterminator="\n")
            lines.writerow(header)
            for row in rows:
                lines.writerow(row)
                count += 1

    replace_file(path, write)
    return count


def _count(classes: Sequence[ClassFolder], subtree: Subtree | None = None) -> Count:
    above = subtree.synset if subtree else None
    synsets = sum(bool(folder.images) and folder.synset != above for folder in classes)
    return Count(synsets, sum(len(folder.images) for folder in classes))
