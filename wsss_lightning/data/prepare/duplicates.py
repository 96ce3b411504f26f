"""Near-duplicates of pictures, by the signs of the low frequencies of a small grey copy (a DCT perceptual hash).

Other sizes, other compression, moderate changes of brightness and contrast, narrow crops and mirroring keep most of the
255 signs. Measured on the 3,454 photographs of VOC's six animals and BSDS500's val: no two of them (6 million pairs,
mirrored or not) differ in fewer than 79 signs; copies of every third one differ in (mean, largest)

    JPEG of quality 30        2   12       1.2 times as bright         7   31
    half as large             6   17       1.5 times as bright        19   56
    a fifth as large         13   28       without 1 % at each border 14   30
    mirrored                  1   10       with a caption painted in  28   78
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsss_lightning.data.images import decode

_SIDE, _FREQUENCIES = 32, 16  # of the grey copy in px, and of those along each axis the lowest
SIGNS = _FREQUENCIES**2 - 1  # the mean brightness has none

HashSigns = NDArray[np.int8]


def hash_picture(path: Path) -> HashSigns:
    """The signs of a picture file: (255,) of -1 and 1, the frequency along the width running fastest.

    Raises:
        InputError: the file is missing, damaged or not a picture.
    """
    small = decode(path).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    pixels = np.asarray(small, np.float32)
    # Without its mean an even picture has zeros where it would have noise of either sign.
    frequencies = cv2.dct(pixels - pixels.mean())[:_FREQUENCIES, :_FREQUENCIES]
    return np.where(frequencies.ravel()[1:] > 0, 1, -1).astype(np.int8)


def near_pairs(signs: HashSigns, *, within: int, block: int = 256) -> NDArray[np.intp]:
    """The pairs of pictures that differ in few signs, one of the two mirrored or not.

    Args:
        signs: (N, 255) of -1 and 1.
        within: the largest number of signs; with less than 0 there is no pair.
        block: rows compared at once with all others; block x N float32 values are held.

    Returns:
        (P, 2) indices i < j, ascending by i, then j.
    """
    # Mirroring negates the frequencies with an odd number of half waves along the width.
    odd = np.arange(1, SIGNS + 1) % _FREQUENCIES % 2 == 1
    kept, negated = signs[:, ~odd].astype(np.float32), signs[:, odd].astype(np.float32)
    near = [np.empty((0, 2), np.intp)]
    for start in range(0, len(signs), block):
        rows = slice(start, start + block)
        # The number of equal signs less that of different ones, of the better of both directions.
        agreement = kept[rows] @ kept[start:].T + np.abs(negated[rows] @ negated[start:].T)
        pairs = np.argwhere(agreement >= SIGNS - 2 * within)
        near.append(pairs[pairs[:, 0] < pairs[:, 1]] + start)
    return np.concatenate(near)
