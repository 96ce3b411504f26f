"""Palette PNGs of VOC: the value of a pixel is its class index, the palette is only for the eye."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsss_lightning.atomic import replace_file
from wsss_lightning.data.images import decode
from wsss_lightning.data.labels import IGNORE
from wsss_lightning.errors import InputError
from wsss_lightning.opened import note_masks

_GREYSCALE, _PALETTE = 0, 3  # PNG specification, table 11.1: colour types
_COLOURS = {2: "RGB", 4: "greyscale with alpha", 6: "RGBA"}


def read_mask(path: Path) -> NDArray[np.uint8]:
    """Read an index PNG (palette, or 8-bit greyscale) as it is, without any colour conversion.

    Returns:
        (H, W) uint8 class indices; in VOC 0 is background and 255 is to be ignored.

    Raises:
        InputError: the file is missing, damaged, not a PNG, holds colours instead of indices, or VOC's colours under
            other indices than VOC's.
    """
    note_masks([path])
    picture = decode(path)
    _check_indices(path)
    mask = np.array(picture).astype(np.uint8, copy=False)
    if picture.mode == "P":
        _check_colours(mask, picture, path)
    return mask


def write_mask(path: Path, mask: NDArray[np.uint8]) -> None:
    """Write class indices as a palette PNG with VOC's colours, atomically.

    Args:
        path: where to; its folder is made if need be.
        mask: (H, W) uint8.

    Raises:
        ValueError: another shape or dtype.
    """
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise ValueError(f"a mask is (H, W) uint8, this one is {mask.shape} {mask.dtype}")
    picture = Image.fromarray(mask)
    picture.putpalette(palette().tobytes())
    replace_file(path, lambda temporary: picture.save(temporary, format="PNG"))


def palette() -> NDArray[np.uint8]:
    """VOC's colour of each index: its bits, dealt in turn to red, green and blue, the lowest to the brightest.

    Returns:
        (256, 3) uint8 RGB; 0 is black, 255 is (224, 224, 192).
    """
    index = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        colours[:, bit % 3] |= (index >> bit & 1).astype(np.uint8) << 7 - bit // 3
    return colours


def colorize(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Show class indices (H, W) uint8 in VOC's colours, (H, W, 3) uint8 RGB."""
    return palette()[mask]


def _check_colours(mask: NDArray[np.uint8], picture: Image.Image, path: Path) -> None:
    """Refuse a mask that an image program has numbered anew: all colours are VOC's, some under another index.

    Palettes of other colours and grey ones say nothing. 255 may have any colour.
    """
    colours = np.array(picture.getpalette() or [], np.uint8).reshape(-1, 3)
    used = [i for i in np.flatnonzero(np.bincount(mask.ravel(), minlength=256)).tolist() if i != IGNORE]
    own = [_index_of().get(tuple(colours[i].tolist())) if i < len(colours) else None for i in used]
    moved = [(i, index) for i, index in zip(used, own, strict=True) if i != index]
    is_grey = all(len({*colours[i].tolist()}) == 1 for i in used if i < len(colours))
    if moved and not is_grey and None not in own:
        index, voc = moved[0]
        raise InputError(
            f"{path} has VOC's colour of index {voc} at index {index}: it was numbered anew when it was saved, write "
            "it with VOC's palette or in greyscale, so that the values are the indices."
        )


@cache
def _index_of() -> dict[tuple[int, ...], int]:
    """Index of every colour of VOC's palette."""
    return {tuple(colour): index for index, colour in enumerate(palette().tolist())}


def _check_indices(path: Path) -> None:
    with path.open("rb") as file:
        header = file.read(26)
    if header[:8] != b"\x89PNG\r\n\x1a\n":
        raise InputError(f"{path} is not a PNG, so its values may be rounded: export the mask as an index PNG.")
    depth, colour_type = header[24], header[25]
    if colour_type in _COLOURS:
        raise InputError(
            f"{path} holds colours ({_COLOURS[colour_type]}) where class indices are expected: "
            "export it as a palette (mode P) or 8-bit greyscale PNG whose values are the indices."
        )
    # Pillow stretches 2- and 4-bit greyscale to 0..255, so that index 1 would be read as 85 or 17.
    if colour_type == _GREYSCALE and depth != 8:
        raise InputError(f"{path} is {depth}-bit greyscale: export the mask with 8 bits, or with a palette.")
