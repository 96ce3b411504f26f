"""Photographs as arrays: decoded completely or refused, three channels, upright."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsss_lightning.errors import InputError, obstacle

MAX_PIXELS = 8192 * 8192  # of an image: decoded, it takes less than 1 GB
# Pillow's modes with at most 8 bits per channel; it clips the others (16-bit greyscale, float) when it converts them.
_EIGHT_BIT_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}
# Pillow reports a damaged file by whichever of these its decoder runs into.
_DAMAGE = (
    *(OSError, SyntaxError, ValueError, IndexError, KeyError, TypeError, AttributeError, EOFError),
    *(RuntimeError, OverflowError, MemoryError, struct.error, zlib.error),
)
_ORIENTATION = 0x0112  # EXIF's tag
_TURNED = range(5, 9)  # orientations that exchange height and width
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(path: Path) -> Image.Image:
    """Open a picture file and decode all of it, whatever its mode, as it is stored: nothing is turned.

    Raises:
        InputError: the file is missing, truncated, not a picture, or has more than `MAX_PIXELS` pixels.
    """
    with _opened(path) as picture:
        picture.load()
        return picture


def image_size(path: Path) -> tuple[int, int]:
    """Height and width in pixels of the upright image, from the file's header; the pixels are not decoded.

    Raises:
        InputError: the file is missing, not a picture, or has more than `MAX_PIXELS` pixels.
    """
    with _opened(path) as picture:
        turned = _orientation(picture) in _TURNED
        return (picture.width, picture.height) if turned else (picture.height, picture.width)


def orientation(path: Path) -> int:
    """The EXIF orientation, 1 for a file that is stored upright or says nothing; errors as `image_size`."""
    with _opened(path) as picture:
        return _orientation(picture)


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read a photograph as RGB, upright.

    Greyscale, palette and CMYK files become RGB. A photograph is turned as its EXIF orientation says, as cameras mean
    it and browsers show it; its mask has to fit the upright image.

    Returns:
        (H, W, 3) uint8, C-contiguous.

    Raises:
        InputError: the file is missing, truncated, not a picture, has more than 8 bits per channel or more than
            `MAX_PIXELS` pixels.
    """
    return as_rgb(upright(path), name=str(path))


def as_rgb(picture: Image.Image, *, name: str) -> NDArray[np.uint8]:
    """The pixels of a decoded picture, (H, W, 3) uint8, C-contiguous; one of more than 8 bits is an `InputError`."""
    if picture.mode not in _EIGHT_BIT_MODES:
        raise InputError(f"{name} has pixels of type {picture.mode}: save it with 8 bits per channel.")
    return np.array(picture if picture.mode == "RGB" else picture.convert("RGB"), order="C")


def upright(path: Path) -> Image.Image:
    """A picture in its own mode, turned as its EXIF orientation says; errors as `decode`."""
    with _opened(path) as picture:
        turn = _UPRIGHT.get(_orientation(picture))
        picture.load()
        return picture if turn is None else picture.transpose(turn)


def _orientation(picture: Image.Image) -> int:
    """Of a picture whose pixels are not decoded yet: behind them, nobody looks for EXIF data."""
    data = picture.info.get("exif")
    if not data or picture.format == "TIFF":  # which Pillow turns by itself
        return 1
    exif = Image.Exif()
    try:
        exif.load(data)
        value = exif.get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF data, which all viewers pass over, can raise anything
        return 1
    return value if isinstance(value, int) and value in _UPRIGHT else 1


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as file:
            if file.width * file.height > MAX_PIXELS:
                raise Image.DecompressionBombError(f"{file.width} x {file.height} px")
            yield file
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{path} has too many pixels: save it with at most {MAX_PIXELS:,}, which are 8192 x 8192."
        ) from error
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: check the data root, or fetch the missing picture.") from error
    except InputError:
        raise
    except _DAMAGE as error:
        reason = str(error) or type(error).__name__
        raise obstacle(path, error) or InputError(
            f"{path} cannot be decoded ({reason}): it is damaged or not a picture, fetch it again."
        ) from error
