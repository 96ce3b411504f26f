"""ImageNet's class folders: found, unpacked, and every image in them decoded once.

Which files decode is kept in `.decoded/<class>.csv`: a run that was ended goes on, and the next one decodes only what
is new, has changed or did not decode.
"""

from __future__ import annotations

import csv
import os
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from wsss_lightning.atomic import replace_file
from wsss_lightning.data.images import read_image
from wsss_lightning.data.prepare.archives import holds, unpack_archive
from wsss_lightning.data.prepare.synsets import SYNSET
from wsss_lightning.errors import InputError
from wsss_lightning.parallel import in_parallel

# Below the root: class folders alone, torchvision's layout, those of the ILSVRC archives.
_PLACES = ("", "train", "Data/CLS-LOC/train", "ILSVRC/Data/CLS-LOC/train")
_SUFFIXES = (".jpeg", ".jpg", ".png")

_File = tuple[str, str, str]  # name, bytes, time of the last change in ns


@dataclass(frozen=True)
class ClassFolder:
    """A synset's folder: the names of its images, and of the files that are left out with the reason."""

    synset: str
    images: tuple[str, ...]
    faults: Mapping[str, str]


def find_classes(root: Path) -> Path:
    """The folder under `root` that holds class folders `n########` or archives `n########.tar`.

    Raises:
        InputError: there is none.
    """
    places = [root / place for place in _PLACES]
    for place in places:
        if place.is_dir() and any(SYNSET.fullmatch(path.name.removesuffix(".tar")) for path in place.iterdir()):
            return place
    raise InputError(
        f"no class folder or archive such as n02121620 or n02121620.tar in {', '.join(map(str, places))}: "
        "set --root, or unpack ILSVRC2012_img_train.tar there."
    )


def require_synsets(folder: Path, known: Collection[str]) -> None:
    """Check that every class folder and every archive is of a known synset, so that no cat becomes background.

    Raises:
        InputError: one is not.
    """
    for path in sorted(folder.iterdir()):
        name = path.name.removesuffix(".tar")
        is_class = path.is_dir() or (name != path.name and SYNSET.fullmatch(name))
        if is_class and not name.startswith(".") and name not in known:
            raise InputError(f"{path} is no synset of the tree: move it away, or set --is-a to the tree that has it.")


def unpack_classes(folder: Path, *, processes: int, progress: bool) -> None:
    """Unpack every archive `n########.tar` whose class folder is not there; the archives stay.

    Raises:
        InputError: an archive is damaged or holds something else than files.
    """
    archives = [path for path in sorted(folder.glob("*.tar")) if SYNSET.fullmatch(path.stem)]
    new = [path for path in archives if not path.with_suffix("").exists()]
    for _ in in_parallel(_unpack, new, processes=processes, description="unpacking", progress=progress):
        pass


def decode_classes(folder: Path, *, cache: Path, processes: int, progress: bool) -> list[ClassFolder]:
    """Decode the images of all class folders, except those that `cache` knows to decode.

    Returns:
        the class folders by synset.
    """
    classes = [path for path in folder.iterdir() if path.is_dir() and SYNSET.fullmatch(path.name)]
    work = partial(decode_class, cache=cache)
    done = in_parallel(work, classes, processes=processes, description="decoding classes", progress=progress)
    return sorted(done, key=lambda class_folder: class_folder.synset)


def decode_class(folder: Path, *, cache: Path) -> ClassFolder:
    """Decode the images of one class folder, and note in `cache` which of them do decode."""
    path = cache / f"{folder.name}.csv"
    known, files = _read_decoded(path), sorted(_files(folder))
    faults = {name: "" if (name, *state) in known else _fault(folder / name) for name, *state in files}
    decoded = [file for file in files if not faults[file[0]]]
    if set(decoded) != known:
        replace_file(path, partial(_write_decoded, files=decoded))
    faults |= _repeated(name for name, *_ in decoded)
    images = tuple(name for name, fault in faults.items() if not fault)
    return ClassFolder(folder.name, images, {name: fault for name, fault in faults.items() if fault})


def image_id(name: str) -> str:
    """The name without its suffix; `Path.stem` takes five times as long, which a million names make minutes of."""
    return name.rpartition(".")[0]


def _unpack(archive: Path) -> None:
    inside = archive.stem if holds(archive, archive.stem) else ""  # ImageNet's own are flat
    unpack_archive(archive, archive.with_suffix(""), inside=inside, progress=False)


def _files(folder: Path) -> Iterator[_File]:
    for entry in os.scandir(folder):
        if entry.name.lower().endswith(_SUFFIXES) and not entry.name.startswith("."):
            stat = entry.stat(follow_symlinks=entry.is_file())  # of a link whose file is gone, the link's own
            yield entry.name, str(stat.st_size), str(stat.st_mtime_ns)


def _fault(path: Path) -> str:
    """Why a file is left out; empty for an image of its class."""
    # Copies of it in the folders of other classes would count an image several times.
    if not path.name.startswith(f"{path.parent.name}_"):
        return "is not named after its class"
    try:
        with warnings.catch_warnings(action="ignore"):  # Pillow's, about EXIF data that nobody looks at
            read_image(path)
    except InputError as error:
        return str(error).removeprefix(f"{path} ")
    return ""


def _repeated(names: Iterable[str]) -> dict[str, str]:
    """The files with the id of an earlier one, as `n02121620_1.jpg` beside `n02121620_1.JPEG`."""
    first: dict[str, str] = {}
    earlier = {name: first.setdefault(image_id(name), name) for name in names}
    return {name: f"has the id of {kept}" for name, kept in earlier.items() if kept != name}


def _read_decoded(path: Path) -> set[_File]:
    if not path.is_file():
        return set()
    with path.open(newline="", encoding="utf-8") as file:
        return {(name, size, time) for name, size, time in csv.reader(file)}


def _write_decoded(path: Path, files: Sequence[_File]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(files)
