"""Patches cut out of images (patches sec. 3.1, Figure 2)."""

from collections.abc import Sequence
from itertools import pairwise
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from wsss_lightning.errors import InputError

Image = NDArray[np.uint8]


def draw_patches(image: Image, *, count: int, size: int, generator: np.random.Generator | None) -> Image:
    """One patch anywhere in each of sqrt(N) x sqrt(N) sub-images, or in the middle of each without a generator.

    Args:
        image: (H, W, 3).
        count: N, a square.
        size: edge of the patches in px.
        generator: of their places, uniform in each sub-image.

    Returns:
        (N, size, size, 3), row by row.

    Raises:
        InputError: a sub-image is smaller than a patch.
    """
    along = isqrt(count)
    edge = min(image.shape[:2]) // along
    if edge < size:
        raise InputError(f"Patches of {size} px do not fit into sub-images of {edge} px: enlarge tuning.size.")
    bounds = [[length * part // along for part in range(along + 1)] for length in image.shape[:2]]
    tops, lefts = ([(start, end - size) for start, end in pairwise(b)] for b in bounds)
    corners = [(_between(top, generator), _between(left, generator)) for top in tops for left in lefts]
    return np.stack([image[row : row + size, column : column + size] for row, column in corners])


def _between(ends: tuple[int, int], generator: np.random.Generator | None) -> int:
    first, last = ends
    return (first + last) // 2 if generator is None else int(generator.integers(first, last + 1))


def crop_around(image: Image, rows: Sequence[int], columns: Sequence[int], *, size: int) -> Image:
    """The patches around some pixels, (M, size, size, 3), as `network.PatchNetwork.dense` sees them."""
    before, after = (size - 1) // 2, size // 2
    mirrored = np.pad(image, ((before, after), (before, after), (0, 0)), mode="symmetric")
    return np.stack([mirrored[r : r + size, c : c + size] for r, c in zip(rows, columns, strict=True)])
