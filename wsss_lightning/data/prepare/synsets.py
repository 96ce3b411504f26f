"""ImageNet's synsets: which is above which."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from wsss_lightning.errors import InputError, obstacle

SYNSET = re.compile(r"n\d{8}")  # a noun's offset in WordNet 3.0

Tree = Mapping[str, set[str]]  # the children of every synset; one can have several parents


def read_tree(path: Path) -> Tree:
    """Read `wordnet.is_a.txt`, whose lines are a parent and a child.

    Raises:
        InputError: the file cannot be read, or a line is something else.
    """
    tree: dict[str, set[str]] = {}
    for number, line in enumerate(_read_lines(path), 1):
        synsets = line.split()
        if synsets and (len(synsets) != 2 or not all(map(SYNSET.fullmatch, synsets))):
            raise InputError(f"{path}, line {number}: {line!r} is no `parent child` of synset ids: fetch it again.")
        if synsets:
            parent, child = synsets
            tree.setdefault(parent, set()).add(child)
            tree.setdefault(child, set())
    return tree


def read_synsets(path: Path) -> set[str]:
    """The ids in `words.txt`, whose lines are an id, a tab and words; none where there is no such file.

    Raises:
        InputError: the file cannot be read, or a line is something else.
    """
    lines = _read_lines(path) if path.is_file() else []
    ids = [line.partition("\t")[0] for line in lines if line.strip()]
    for synset in ids:
        if not SYNSET.fullmatch(synset):
            raise InputError(f"{path} has a line with {synset!r} in the place of a synset id: fetch it again.")
    return set(ids)


def below(tree: Tree, root: str) -> set[str]:
    """`root` and all that is below it, each once however many ways lead there; a cycle ends where it began."""
    synsets, waiting = set(), [root]
    while waiting:
        synset = waiting.pop()
        if synset not in synsets:
            synsets.add(synset)
            waiting.extend(tree[synset])
    return synsets


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()  # of the words nothing is looked at
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: put ImageNet's {path.name} there, or set --is-a.") from None
    except OSError as error:
        again = f"{path} cannot be read ({error.strerror}): fetch it again."
        raise obstacle(path, error) or InputError(again) from error
