"""A file that stands for a look at every file of a data set: name, size and, where content counts, SHA-256.

A key is the same with it and without. It is believed as long as it is there: who changes data writes it again.
"""

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from wsss_lightning.atomic import replace_file
from wsss_lightning.errors import InputError

MANIFEST = "wsss-manifest.tsv"
# Lists, tags and masks decide what is learned from which image, so their content counts; photographs enter by name
# and size, which keeps a data set of 100,000 images at about a second.
READ_WHOLE = {".txt", ".csv", ".json", ".xml", ".npy", ".npz", ".png", ".mat", ".safetensors"}
_HEAD = "name\tsize\tsha256\n"

ManifestEntry = tuple[str, int, int]  # name, size, time of the last change in ns
Manifest = dict[str, tuple[int, str]]  # by name: size and SHA-256, empty where content does not count


def walk(folder: Path | str, *, prefix: str = "", above: frozenset[str] = frozenset()) -> Iterator[ManifestEntry]:
    """All files below a folder, hidden ones and the manifest itself left out."""
    place = os.path.realpath(folder)
    if place in above:  # a link to a folder that holds it
        return
    for entry in os.scandir(folder):
        if entry.name.startswith(".") or (not prefix and entry.name == MANIFEST):
            continue
        if entry.is_dir():
            yield from walk(entry.path, prefix=f"{prefix}{entry.name}/", above=above | {place})
        elif entry.is_file():  # and no link whose file is gone
            state = entry.stat()
            yield f"{prefix}{entry.name}", state.st_size, state.st_mtime_ns


def is_read_whole(name: str) -> bool:
    """Whether content counts where no reader says so."""
    return os.path.splitext(name)[1].lower() in READ_WHOLE  # noqa: PTH122  # a tenth of the time of Path.suffix


def sha256(path: Path) -> str:
    """Of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_manifest(root: Path) -> tuple[int, int]:
    """Write the manifest of all files below `root`; how many files and bytes they are.

    Raises:
        InputError: there is no such folder, or a name that a line cannot hold.
    """
    entries = _entries(root)
    lines = [f"{name}\t{size}\t{content}\n" for name, size, content in _hashed(root, entries)]
    replace_file(root / MANIFEST, lambda path: path.write_text(_HEAD + "".join(lines), encoding="utf-8"))
    return len(entries), sum(size for _, size, _ in entries)


def differences(root: Path) -> list[str]:
    """What is no longer as the manifest of `root` says: `NAME is new`, `is gone`, `has changed`."""
    known, entries = read_manifest(root / MANIFEST), _entries(root)
    now = {name: (size, content) for name, size, content in _hashed(root, entries)}
    gone = [f"{name} is gone" for name in known.keys() - now.keys()]
    new = [f"{name} is new" for name in now.keys() - known.keys()]
    return sorted(
        [*gone, *new, *(f"{name} has changed" for name in known.keys() & now.keys() if known[name] != now[name])]
    )


def read_manifest(path: Path) -> Manifest:
    """Size and SHA-256 by name.

    Raises:
        InputError: it is no manifest.
    """
    entries: Manifest = {}
    try:
        with path.open(encoding="utf-8") as lines:
            if next(lines, "") != _HEAD:
                raise ValueError("its first line is another")
            for line in lines:
                name, size, content = line.rstrip("\n").split("\t")
                entries[name] = int(size), content
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no manifest ({error}): delete it, or write it by wsss data manifest.") from None
    return entries


def entry(root: Path, names: Iterable[str]) -> ManifestEntry | None:
    """The first of `names` that is a file below `root`."""
    for name in names:
        with contextlib.suppress(OSError):
            status = os.stat(f"{root}/{name}")  # noqa: PTH116  # a third of the time of Path.stat
            if stat.S_ISREG(status.st_mode):
                return name, status.st_size, status.st_mtime_ns
    return None


def _entries(root: Path) -> list[ManifestEntry]:
    if not root.is_dir():
        raise InputError(f"There is no folder {root}: give the root of the data set.")
    entries = sorted(walk(root))
    if odd := [name for name, _, _ in entries if "\t" in name or "\n" in name]:
        raise InputError(f"{root / odd[0]!r} has a tab or a line break in its name: give it another.")
    return entries


def _hashed(root: Path, entries: list[ManifestEntry]) -> Iterator[tuple[str, int, str]]:
    def hashed(file: ManifestEntry) -> tuple[str, int, str]:
        name, size, _ = file
        return name, size, sha256(root / name) if is_read_whole(name) else ""

    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as threads:  # hashlib lets go of the interpreter's lock
        yield from threads.map(hashed, entries)
