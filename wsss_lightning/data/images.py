"""Photographs as arrays: decoded completely or refused, three channels, stored orientation."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsss_lightning.errors import InputError

# Pillow's modes with at most 8 bits per channel; it clips the others (16-bit greyscale, float) when it converts them.
_EIGHT_BIT_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}
# Pillow reports a damaged file by whichever of these its decoder runs into.
_DAMAGE = (
    *(OSError, SyntaxError, ValueError, IndexError, RuntimeError, struct.error, zlib.error),
    Image.DecompressionBombError,
)


def decode(path: Path) -> Image.Image:
    """Open a picture file and decode all of it, whatever its mode.

    Raises:
        InputError: the file is missing, truncated or not a picture.
    """
    try:
        with Image.open(path) as picture:
            picture.load()
            return picture
    except _DAMAGE as error:
        raise _refusal(path, error) from error


def image_size(path: Path) -> tuple[int, int]:
    """Height and width in pixels from the file's header; the pixels are not decoded.

    Raises:
        InputError: the file is missing or not a picture.
    """
    try:
        with Image.open(path) as picture:
            return picture.height, picture.width
    except _DAMAGE as error:
        raise _refusal(path, error) from error


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read a photograph as RGB.

    Greyscale, palette and CMYK files become RGB. The EXIF orientation is not applied: masks and boxes of VOC and COCO
    are drawn on the pixels as stored, so that a turned image would no longer lie under its mask.

    Returns:
        (H, W, 3) uint8, C-contiguous.

    Raises:
        InputError: the file is missing, truncated, not a picture, or has more than 8 bits per channel.
    """
    picture = decode(path)
    if picture.mode not in _EIGHT_BIT_MODES:
        raise InputError(f"{path} has pixels of type {picture.mode}: save it with 8 bits per channel.")
    return np.array(picture.convert("RGB"), order="C")


def _refusal(path: Path, error: BaseException) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path} does not exist: check the data root, or fetch the missing picture.")
    return InputError(f"{path} cannot be decoded ({error}): it is damaged or not a picture, fetch it again.")
