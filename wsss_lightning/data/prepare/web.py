"""Images from the web: folders of files by class name become JPEGs of one kind and a CSV of tags.

An image's id is a function of its class and its file's content, so files that are added later change no other id, and
what an earlier run has written is not written again.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from wsss_lightning.atomic import replace_file
from wsss_lightning.data.images import image_size, upright
from wsss_lightning.data.prepare.duplicates import HashSigns, hash_picture, near_pairs
from wsss_lightning.errors import InputError
from wsss_lightning.parallel import in_parallel

IMAGES, TAGS, LEFT_OUT = "JPEGImages", "tags.csv", "left_out.csv"
_QUALITY = 95  # above it, says Pillow's documentation, files grow with hardly any gain in quality

Reason = Literal["undecodable", "duplicate", "two classes"]


@dataclass(frozen=True, eq=False)
class WebImage:
    """A file that can be decoded: its class, its path below the source, its area there in px, its JPEG's hash."""

    name: str
    source: str
    image_id: str
    area: int
    signs: HashSigns


@dataclass(frozen=True)
class LeftOut:
    """A file that is in no list; `detail` is the decoder's complaint or the file that it is like."""

    name: str
    source: str
    reason: Reason
    detail: str


@dataclass(frozen=True)
class PreparedWeb:
    """All files of the source: those in the CSV of tags, by id, and the others, by path."""

    kept: list[WebImage]
    left_out: list[LeftOut]


def prepare_web(
    source: Path,
    root: Path,
    *,
    names: Sequence[str],
    long_side: int,
    within: int,
    processes: int,
    progress: bool = True,
) -> PreparedWeb:
    """Write `JPEGImages/<class>_<number>.jpg`, `tags.csv` (image,tags,source) and `left_out.csv` (file,reason,detail).

    Of near-duplicates in one class the largest is kept. A picture found under two class names is left out under both,
    since each image has one tag and nobody has said which of these it shows.

    Args:
        source: holds one folder per class, with its files at any depth; hidden ones are not looked at.
        root: where to; files of other names in it stay.
        names: the classes that there may be.
        long_side: of the JPEGs in px; smaller images keep their size.
        within: see `near_pairs`; below 0, only files of the same content are duplicates.
        processes: how many decode at once.
        progress: show a bar.

    Raises:
        InputError: the source is not there, has folders of other names or no image, or holds the root.
    """
    if root.resolve().is_relative_to(source.resolve()):
        raise InputError(f"{root} lies in {source}, whose folders are read as classes: set --root to another folder.")
    files, folder = _find_files(source, names), root / IMAGES
    job = partial(_take_in, source=source, folder=folder, long_side=long_side)
    results = list(in_parallel(job, files, processes=processes, description="web images", progress=progress))
    pictures = [result for result in results if isinstance(result, WebImage)]
    if not pictures:
        raise InputError(f"{source} has no file that can be decoded, {results[0].source} for one: fetch images anew.")
    prepared = _sort_out(pictures, [result for result in results if isinstance(result, LeftOut)], within=within)
    _write(prepared, root)
    for image_id in {picture.image_id for picture in pictures} - {picture.image_id for picture in prepared.kept}:
        (folder / f"{image_id}.jpg").unlink(missing_ok=True)
    return prepared


def _find_files(source: Path, names: Sequence[str]) -> list[tuple[str, Path]]:
    """Class and path of every file, in the order of both."""
    if not source.is_dir():
        raise InputError(f"{source} is no folder: set --source to one that holds a folder of images per class.")
    folders = sorted(path for path in source.iterdir() if path.is_dir() and not path.name.startswith("."))
    if unknown := [folder.name for folder in folders if folder.name not in names]:
        raise InputError(
            f"{source} has the folders {', '.join(unknown)}, but the classes are {', '.join(names)}: rename or move "
            "them, or give the classes with --names."
        )
    files = [(folder.name, path) for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    shown = [(name, path) for name, path in files if not _is_hidden(path.relative_to(source))]
    if not shown:
        raise InputError(f"{source} has no file in a folder of a class: put images into {source / names[0]}, ...")
    return shown


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _take_in(item: tuple[str, Path], *, source: Path, folder: Path, long_side: int) -> WebImage | LeftOut:
    name, path = item
    relative = path.relative_to(source).as_posix()
    try:
        height, width = image_size(path)
        image_id = f"{name}_{_number(path)}"
        signs = _write_picture(path, folder / f"{image_id}.jpg", min(long_side, max(height, width)))
    except InputError as error:
        return LeftOut(name, relative, "undecodable", str(error).replace(str(path), relative))
    return WebImage(name, relative, image_id, height * width, signs)


def _number(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    # Of 4,000 files two have the same twelve digits by chance in one class of 100,000.
    return f"{int.from_bytes(digest) % 10**12:012d}"


def _write_picture(path: Path, target: Path, long_side: int) -> HashSigns:
    with suppress(InputError):  # it is not there, or it is damaged
        if max(image_size(target)) == long_side:
            return hash_picture(target)
    picture = _read_upright(path)
    picture.thumbnail((long_side, long_side), Image.Resampling.LANCZOS)
    # Without a comment: Pillow takes over the source's, and a GIF's can be longer than a JPEG's may be.
    replace_file(target, lambda temporary: picture.save(temporary, format="JPEG", quality=_QUALITY, comment=b""))
    return hash_picture(target)


def _read_upright(path: Path) -> Image.Image:
    """RGB as a browser shows it: turned as EXIF says (no mask is drawn on it yet), on white where it is transparent."""
    picture = upright(path)
    if picture.mode.startswith(("I", "F", "LAB")):  # Pillow clips or refuses them
        raise InputError(f"{path} has pixels of type {picture.mode}: save it as RGB with 8 bits per channel.")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


def _sort_out(pictures: Sequence[WebImage], left_out: Sequence[LeftOut], *, within: int) -> PreparedWeb:
    largest_first = sorted(pictures, key=lambda picture: (-picture.area, picture.source))
    distinct: dict[str, WebImage] = {}
    repeated = [picture for picture in largest_first if distinct.setdefault(picture.image_id, picture) is not picture]
    copies = [_copy(picture, "duplicate", distinct[picture.image_id]) for picture in repeated]
    copies += _near_copies(list(distinct.values()), within=within)
    gone = {copy.source for copy in copies}
    return PreparedWeb(
        kept=sorted((p for p in pictures if p.source not in gone), key=lambda picture: picture.image_id),
        left_out=sorted([*left_out, *copies], key=lambda item: item.source),
    )


def _near_copies(pictures: Sequence[WebImage], *, within: int) -> list[LeftOut]:
    pairs = near_pairs(np.stack([picture.signs for picture in pictures]), within=within).tolist()
    foreign = [(i, j) for i, j in pairs if pictures[i].name != pictures[j].name]
    ambiguous = {i: j for pair in foreign for i, j in (pair, pair[::-1])}
    copies: dict[int, int] = {}
    for i, j in pairs:  # ascending: whether i itself is a copy is known here
        if i not in copies and not {i, j} & ambiguous.keys():
            copies.setdefault(j, i)
    return [
        *(_copy(pictures[i], "two classes", pictures[j]) for i, j in ambiguous.items()),
        *(_copy(pictures[j], "duplicate", pictures[i]) for j, i in copies.items()),
    ]


def _copy(picture: WebImage, reason: Reason, other: WebImage) -> LeftOut:
    return LeftOut(picture.name, picture.source, reason, other.source)


def _write(prepared: PreparedWeb, root: Path) -> None:
    images = ((f"{picture.image_id}.jpg", picture.name, picture.source) for picture in prepared.kept)
    _write_csv(root / TAGS, ("image", "tags", "source"), images)
    others = ((item.source, item.reason, item.detail) for item in prepared.left_out)
    _write_csv(root / LEFT_OUT, ("file", "reason", "detail"), others)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    def write(temporary: Path) -> None:
        # Names of files need not be UTF-8.
        with temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
            csv.writer(file, lineterminator="\n").writerows([header, *rows])

    replace_file(path, write)
