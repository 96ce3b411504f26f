"""Pictures from wherever a person has them: files, folders, patterns, videos, and what a notebook holds."""

import glob
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from wsss_lightning.data.images import as_rgb, read_image
from wsss_lightning.data.prepare.videos import count_frames, is_video, opened_video
from wsss_lightning.data.tag_table import IMAGE_SUFFIXES
from wsss_lightning.errors import InputError

PictureArray = NDArray[np.uint8]
log = logging.getLogger(__name__)


def as_pixels(image: Path | str | Image.Image | NDArray[np.uint8]) -> PictureArray:
    """A picture as (H, W, 3) uint8 RGB, upright.

    Args:
        image: a file, a PIL image, or an array (H, W, 3) RGB or (H, W) grey, uint8.

    Raises:
        InputError: a file is damaged, or an array is of another shape or type.
    """
    if isinstance(image, Path | str):
        return read_image(Path(image))
    if isinstance(image, Image.Image):
        return as_rgb(ImageOps.exif_transpose(image), name="The image")
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,)) or not pixels.size:
        raise InputError(f"An array is (H, W, 3) RGB or (H, W) grey, uint8, not {pixels.shape} {pixels.dtype}.")
    return np.ascontiguousarray(pixels if pixels.ndim == 3 else np.stack([pixels] * 3, axis=-1))


@dataclass(frozen=True)
class PictureFile:
    """One picture to label: `name` of what is written for it, its file and, of a video, the frame from 1 on."""

    name: str
    path: Path
    frame: int | None = None


def find_pictures(inputs: Sequence[str], *, every: int = 1) -> tuple[list[PictureFile], list[str]]:
    """All pictures of files, folders with what is below them, patterns and videos, and a sentence for each bad video.

    A picture is named by its file, in a folder with the folders between; equal names get a number, which is logged.
    Frames are named `video/000001`; `every`: of how many frames one is taken.

    Raises:
        InputError: there is no such file, or no picture in a folder.
    """
    pictures, faults = [], []
    for unique, path in _renamed([file for text in inputs for file in _files(text)]):
        try:
            if is_video(path):
                frames = range(1, count_frames(path) + 1, every)
                pictures += [PictureFile(f"{unique}/{number:06d}", path, number) for number in frames]
            else:
                pictures.append(PictureFile(unique, path))
        except InputError as error:
            faults.append(str(error))
    return pictures, faults


def _renamed(files: Sequence[tuple[str, Path]]) -> Iterator[tuple[str, Path]]:
    """Names and files, a name that is another file's already with the first number that makes it a free one."""
    taken, given = {name for name, _ in files}, set[str]()
    for name, path in files:
        free = name
        if name in given:
            free = next(new for number in count(2) if (new := f"{name}-{number}") not in taken)
            log.info("%s is called %s here: another picture has its name", path, free)
        taken.add(free)
        given.add(free)
        yield free, path


def _files(text: str) -> Iterator[tuple[str, Path]]:
    """Names and files that an argument means."""
    path = Path(text)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if _is_picture(file.relative_to(path)) and file.is_file())
        yield from ((file.relative_to(path).with_suffix("").as_posix(), file) for file in files)
    elif path.is_file():
        files = [path]
        yield path.stem, path
    else:
        # Path.glob takes no absolute patterns.
        files = [Path(name) for name in sorted(glob.glob(text, recursive=True)) if Path(name).is_file()]  # noqa: PTH207
        yield from ((file.stem, file) for file in files)
    if not files:
        raise InputError(f"There is no picture {text}: name image files, videos, folders or patterns of them.")


def _is_picture(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    return not hidden and (path.suffix.lower() in IMAGE_SUFFIXES or is_video(path))


@dataclass
class PictureReader:
    """Reads pictures; frames of a video in the order of time without going back to its start for each."""

    _path: Path | None = None
    _video: cv2.VideoCapture | None = None
    _position: int = 0

    def read(self, picture: PictureFile) -> PictureArray:
        """The pixels of a picture; `InputError` where it is damaged."""
        if picture.frame is None:
            return read_image(picture.path)
        if picture.path != self._path or picture.frame <= self._position:
            self._path, self._video, self._position = picture.path, opened_video(picture.path), 0
        assert self._video is not None
        while self._position < picture.frame and self._video.grab():
            self._position += 1
        decoded, pixels = self._video.retrieve() if self._position == picture.frame else (False, None)
        if not decoded or pixels is None:
            raise InputError(f"{picture.path} cannot be read behind frame {self._position}: it is cut off or damaged.")
        return np.ascontiguousarray(pixels[..., ::-1], np.uint8)
