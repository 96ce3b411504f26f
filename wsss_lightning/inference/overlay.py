"""The picture that a person looks at: photograph, labels in colour with their outlines, and the names of classes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from wsss_lightning.inference.pictures import PictureArray

_OPACITY = 0.45  # of the colour over the photograph
_LEAST = 480  # px of the longer side, so that names can be read below small pictures
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)


def draw_overlay(
    image: PictureArray, labels: PictureArray, *, names: Sequence[str], palette: Sequence[Sequence[int]]
) -> PictureArray:
    """A photograph under its labels, and below it a legend of the classes that are in it with their shares of pixels.

    Args:
        image: (H, W, 3) RGB.
        labels: (H, W) in 0..L - 1; background, 0, stays as it is.
        names: of the L labels.
        palette: their colours, RGB 0..255.

    Returns:
        (H', W', 3); small images are enlarged by a whole factor.
    """
    factor = max(_LEAST // max(image.shape[:2]), 1)
    image, labels = (each.repeat(factor, axis=0).repeat(factor, axis=1) for each in (image, labels))
    coloured = _outlined(_tinted(image, labels, palette), labels, palette)
    shares = np.bincount(labels.ravel(), minlength=len(names)) / labels.size
    shown = [label for label in np.argsort(-shares) if shares[label] > 0 and label > 0]
    entries = [(f"{names[label]} {_percent(shares[label])}", palette[label]) for label in shown]
    return np.vstack([coloured, _legend(entries, width=coloured.shape[1])])


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else "< 1%"


def _tinted(image: PictureArray, labels: PictureArray, palette: Sequence[Sequence[int]]) -> PictureArray:
    colours, opacity = np.array(palette, np.float32)[labels], np.where(labels > 0, _OPACITY, 0)[..., None]
    mixed: PictureArray = ((1 - opacity) * image + opacity * colours).round().astype(np.uint8)
    return mixed


def _outlined(picture: PictureArray, labels: PictureArray, palette: Sequence[Sequence[int]]) -> PictureArray:
    """Every class with a rim of its own colour, and a white line around it: dark colours show on dark photographs."""
    inner = max(max(labels.shape) // 300, 1)
    rim = _near_border(labels, inner) & (labels > 0)
    picture[rim] = np.array(palette, np.uint8)[labels[rim]]
    picture[_near_border(labels, inner) & (labels == 0)] = _WHITE
    return picture


def _near_border(labels: PictureArray, width: int) -> NDArray[np.bool_]:
    """Pixels with another label at most `width` px beside, above or below them."""
    near = np.zeros(labels.shape, bool)
    for distance in range(1, width + 1):
        down, right = labels[distance:] != labels[:-distance], labels[:, distance:] != labels[:, :-distance]
        near[distance:] |= down
        near[:-distance] |= down
        near[:, distance:] |= right
        near[:, :-distance] |= right
    return near


def _legend(entries: Sequence[tuple[str, Sequence[int]]], *, width: int) -> PictureArray:
    """Coloured squares and names in as many lines as they need."""
    size = max(width // 30, 13)
    font, line, gap = ImageFont.load_default(size), 3 * size // 2, size // 2
    places, left, top = [], gap, gap
    for text, colour in entries or [("background only", _WHITE)]:
        length = round(font.getlength(text)) + 2 * size
        if left > gap and left + length > width:
            left, top = gap, top + line
        places.append((left, top, text, colour))
        left += length + gap
    canvas = Image.new("RGB", (width, top + line), _WHITE)
    pen = ImageDraw.Draw(canvas)
    for x, y, text, colour in places:
        pen.rectangle((x, y + size // 8, x + size, y + size // 8 + size), fill=tuple(colour), outline=_BLACK)
        pen.text((x + 3 * size // 2, y), text, fill=_BLACK, font=font)
    return np.array(canvas)
