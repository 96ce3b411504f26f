"""Content hashes of what a stage reads from outside the store: data folders and weights files."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from wsss_lightning.atomic import replace_file
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.manifest import MANIFEST, ManifestEntry, entry, is_read_whole, read_manifest, sha256, walk
from wsss_lightning.pipeline.readings import Reading


def file_fingerprint(path: Path, *, cache: Path) -> str:
    """SHA-256 of a file's content; raises `InputError` where there is none."""
    if not path.is_file():
        raise InputError(f"There is no file {path}: give the path of an existing weights file.")
    state = path.stat()
    known = [str(path.resolve()), ("", state.st_size, state.st_mtime_ns)]
    return str(_kept(cache, known, lambda: sha256(path)))


def folder_fingerprint(root: Path, *, cache: Path) -> str:
    """SHA-256 over the names and sizes of all files below `root` and the content of its lists, tags and masks.

    Moving the folder keeps it, and so do hidden files, which desktops and editors leave behind.
    """
    if not root.is_dir():
        raise InputError(f"There is no folder {root}: give the root of the data set, data.root=FOLDER.")
    if (manifest := entry(root, [MANIFEST])) is not None:
        return str(_kept(cache, ["manifest of all", manifest, str(root)], lambda: _digest(_listed_in(root))))
    files = sorted(walk(root))
    return str(_kept(cache, [str(root.resolve()), *files], lambda: _digest(_contents(root, files))))


def reading_fingerprint(reading: Reading, *, cache: Path) -> str:
    """SHA-256 over the names of the files of a reading and their contents or, of photographs, their sizes.

    Where the root holds a manifest, that is asked in the place of the files, but for those in `index`.

    Raises:
        InputError: a list has another size than the manifest says.
    """
    index = [file for name in sorted(set(reading.index)) if (file := entry(reading.root, [name]))]
    if (manifest := entry(reading.root, [MANIFEST])) is not None:
        state = ["manifest", repr(reading), manifest, *index]
        return str(_kept(cache, state, lambda: _digest(_of_manifest(reading, index))))
    listed = _kept(
        cache, ["files", repr(reading), *index], lambda: [[names, whole] for names, whole in reading.files()]
    )
    files = {file: whole for names, whole in listed if (file := entry(reading.root, names))}
    files |= dict.fromkeys(index, True)
    known = ["reading", str(reading.root), *sorted(files.items())]
    return str(_kept(cache, known, lambda: _digest(_of_reading(reading.root, files))))


def _of_reading(root: Path, files: dict[ManifestEntry, bool]) -> Iterator[tuple[str, int, str]]:
    for (name, size, _), whole in sorted(files.items()):
        yield name, size, sha256(root / name) if whole else ""


def _of_manifest(reading: Reading, index: Sequence[ManifestEntry]) -> Iterator[tuple[str, int, str]]:
    """What `_of_reading` gives, of the files that the manifest of the reading's root names."""
    known = read_manifest(reading.root / MANIFEST)
    for name, size, _ in index:
        if known.get(name, (None, ""))[0] != size:
            raise InputError(f"{reading.root / name} is not as {MANIFEST} says: wsss data manifest {reading.root}.")
    there = ((next((name for name in names if name in known), None), whole) for names, whole in reading.files())
    files = {name: whole for name, whole in there if name is not None} | {name: True for name, _, _ in index}
    for name, whole in sorted(files.items()):
        size, content = known[name]
        yield name, size, (content or sha256(reading.root / name)) if whole else ""


def _listed_in(root: Path) -> Iterator[tuple[str, int, str]]:
    for name, (size, content) in read_manifest(root / MANIFEST).items():
        yield name, size, content


FINGERPRINTS = {"folder": folder_fingerprint, "weights": file_fingerprint}  # by the name of the resolver


def _kept(cache: Path, known: list[Any], compute: Callable[[], Any]) -> Any:
    """What `compute` gives, kept in `cache` for as long as `known`, names, sizes and times, is the same."""
    place = cache / f"{_digest(known)}.json"
    with contextlib.suppress(OSError, ValueError):  # ValueError: a full disk or a lost power supply left half of it
        return json.loads(place.read_text())
    value = compute()
    with contextlib.suppress(InputError, OSError):  # plans are made for stores, too, that may only be read
        replace_file(place, lambda temporary: temporary.write_text(json.dumps(value)))
    return value


def _contents(root: Path, entries: list[ManifestEntry]) -> Iterator[tuple[str, int, str]]:
    for name, size, _ in entries:
        yield name, size, sha256(root / name) if is_read_whole(name) else ""


def _digest(items: Any) -> str:
    text = json.dumps(list(items), separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
