"""Content hashes of what a stage reads from outside the store: data folders and weights files."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from wsss_lightning.errors import InputError

# Lists, tags and annotations decide what is learned from which image, so their content counts; pictures and masks
# enter by name and size, which keeps a data set of 100,000 images at about a second.
_READ_WHOLE = {".txt", ".csv", ".json", ".xml", ".npy"}


def file_fingerprint(path: Path) -> str:
    """SHA-256 of a file's content; raises `InputError` where there is none."""
    if not path.is_file():
        raise InputError(f"There is no file {path}: give the path of an existing weights file.")
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_fingerprint(root: Path, *, cache: Path) -> str:
    """SHA-256 over the names and sizes of all files below `root` and the content of its lists and tags.

    Moving the folder keeps it. The content is read again only when a name, size or modification time has changed
    since the value kept in `cache`.
    """
    if not root.is_dir():
        raise InputError(f"There is no folder {root}: give the root of the data set, for example data.root=/data/VOC.")
    entries = sorted(_walk(root, prefix=""))
    known = cache / f"{_digest([str(root.resolve()), *entries])}.txt"
    if not known.is_file():
        _write_text(known, _digest(_contents(root, entries)))
    return known.read_text()


def _walk(folder: Path | str, *, prefix: str) -> Iterator[tuple[str, int, int]]:
    for entry in os.scandir(folder):
        if entry.is_dir():
            yield from _walk(entry.path, prefix=f"{prefix}{entry.name}/")
        else:
            stat = entry.stat()
            yield f"{prefix}{entry.name}", stat.st_size, stat.st_mtime_ns


def _contents(root: Path, entries: list[tuple[str, int, int]]) -> Iterator[tuple[str, int, str]]:
    for name, size, _ in entries:
        whole = Path(name).suffix.lower() in _READ_WHOLE
        yield name, size, file_fingerprint(root / name) if whole else ""


def _digest(items: object) -> str:
    text = json.dumps(list(items), separators=(",", ":"))  # type: ignore[call-overload]
    return hashlib.sha256(text.encode()).hexdigest()


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(text)
    temporary.replace(path)
