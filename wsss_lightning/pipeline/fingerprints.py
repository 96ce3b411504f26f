"""Content hashes of what a stage reads from outside the store: data folders and weights files."""

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from wsss_lightning.atomic import replace_file
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.readings import Reading

# Lists, tags and masks decide what is learned from which image, so their content counts; photographs enter by name
# and size, which keeps a data set of 100,000 images at about a second.
_READ_WHOLE = {".txt", ".csv", ".json", ".xml", ".npy", ".npz", ".png", ".mat", ".safetensors"}

_Entry = tuple[str, int, int]  # name, size, time of the last change in ns


def file_fingerprint(path: Path, *, cache: Path) -> str:
    """SHA-256 of a file's content; raises `InputError` where there is none."""
    if not path.is_file():
        raise InputError(f"There is no file {path}: give the path of an existing weights file.")
    state = path.stat()
    return _remembered(path, [("", state.st_size, state.st_mtime_ns)], cache=cache)


def folder_fingerprint(root: Path, *, cache: Path) -> str:
    """SHA-256 over the names and sizes of all files below `root` and the content of its lists, tags and masks.

    Moving the folder keeps it, and so do hidden files, which desktops and editors leave behind.
    """
    if not root.is_dir():
        raise InputError(f"There is no folder {root}: give the root of the data set, for example data.root=/data/VOC.")
    return _remembered(root, sorted(_walk(root, prefix="", above=frozenset())), cache=cache)


def reading_fingerprint(reading: Reading, *, cache: Path) -> str:
    """SHA-256 over the names of the files of a reading and their contents or, of photographs, their sizes."""
    index = [entry for name in sorted(set(reading.index)) if (entry := _entry(reading.root, [name]))]
    listed = _kept(
        cache, ["files", repr(reading), *index], lambda: [[names, whole] for names, whole in reading.files()]
    )
    files = {entry: whole for names, whole in listed if (entry := _entry(reading.root, names))}
    files |= dict.fromkeys(index, True)
    known = ["reading", str(reading.root), *sorted(files.items())]
    return str(_kept(cache, known, lambda: _digest(_of_reading(reading.root, files))))


def _of_reading(root: Path, files: dict[_Entry, bool]) -> Iterator[tuple[str, int, str]]:
    for (name, size, _), whole in sorted(files.items()):
        yield name, size, _sha256(root / name) if whole else ""


def _entry(root: Path, names: Sequence[str]) -> _Entry | None:
    """The first of `names` that is a file."""
    for name in names:
        with contextlib.suppress(OSError):
            found = os.stat(f"{root}/{name}")  # noqa: PTH116  # a third of the time of Path.stat
            if stat.S_ISREG(found.st_mode):
                return name, found.st_size, found.st_mtime_ns
    return None


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
            state = entry.stat()
            yield f"{prefix}{entry.name}", state.st_size, state.st_mtime_ns


def _remembered(path: Path, entries: list[_Entry], *, cache: Path) -> str:
    """The content is read again only when a name, size or time has changed since the value kept in `cache`."""
    known = [str(path.resolve()), *entries]
    return str(_kept(cache, known, lambda: _sha256(path) if path.is_file() else _digest(_contents(path, entries))))


def _kept(cache: Path, known: list[Any], compute: Callable[[], Any]) -> Any:
    """What `compute` gives, kept in `cache` for as long as `known` is the same."""
    place = cache / f"{_digest(known)}.json"
    with contextlib.suppress(OSError, ValueError):  # ValueError: a full disk or a lost power supply left half of it
        return json.loads(place.read_text())
    value = compute()
    with contextlib.suppress(InputError, OSError):  # plans are made for stores, too, that may only be read
        replace_file(place, lambda temporary: temporary.write_text(json.dumps(value)))
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
