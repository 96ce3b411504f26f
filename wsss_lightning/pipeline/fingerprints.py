"""Content hashes of what a stage reads from outside the store: data folders and weights files."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.store import write_json

# Lists, tags and annotations decide what is learned from which image, so their content counts; pictures and masks
# enter by name and size, which keeps a data set of 100,000 images at about a second.
_READ_WHOLE = {".txt", ".csv", ".json", ".xml", ".npy"}

_Entry = tuple[str, int, int]  # name, size, time of the last change in ns


def file_fingerprint(path: Path, *, cache: Path) -> str:
    """SHA-256 of a file's content; raises `InputError` where there is none."""
    if not path.is_file():
        raise InputError(f"There is no file {path}: give the path of an existing weights file.")
    stat = path.stat()
    return _remembered(path, [("", stat.st_size, stat.st_mtime_ns)], cache=cache)


def folder_fingerprint(root: Path, *, cache: Path) -> str:
    """SHA-256 over the names and sizes of all files below `root` and the content of its lists and tags.

    Moving the folder keeps it, and so do hidden files, which desktops and editors leave behind.
    """
    if not root.is_dir():
        raise InputError(f"There is no folder {root}: give the root of the data set, for example data.root=/data/VOC.")
    return _remembered(root, sorted(_walk(root, prefix="", above=frozenset())), cache=cache)


FINGERPRINTS = {"folder": folder_fingerprint, "weights": file_fingerprint}  # by the name of the resolver


def _walk(folder: Path | str, *, prefix: str, above: frozenset[str]) -> Iterator[_Entry]:
    place = os.path.realpath(folder)
    if place in above:  # a link to a folder that holds it
        return
    for entry in os.scandir(folder):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(entry.path, prefix=f"{prefix}{entry.name}/", above=above | {place})
        elif entry.is_file():  # and no link whose file is gone
            stat = entry.stat()
            yield f"{prefix}{entry.name}", stat.st_size, stat.st_mtime_ns


def _remembered(path: Path, entries: list[_Entry], *, cache: Path) -> str:
    """The content is read again only when a name, size or time has changed since the value kept in `cache`."""
    known = cache / f"{_digest([str(path.resolve()), *entries])}.json"
    if known.is_file():
        return str(json.loads(known.read_text()))
    value = _sha256(path) if path.is_file() else _digest(_contents(path, entries))
    with contextlib.suppress(OSError):  # plans are made for stores, too, that may only be read
        write_json(known, value)
    return value


def _contents(root: Path, entries: list[_Entry]) -> Iterator[tuple[str, int, str]]:
    for name, size, _ in entries:
        whole = Path(name).suffix.lower() in _READ_WHOLE
        yield name, size, _sha256(root / name) if whole else ""


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _digest(items: Any) -> str:
    text = json.dumps(list(items), separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
