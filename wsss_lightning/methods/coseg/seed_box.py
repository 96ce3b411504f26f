"""Where the object of an image probably is: the box that holds the image's edges (Chen et al., CVPR 2014, their code).

Their edges are structured ones, which a trained forest gives; here they are any map of an edge's strength.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from wsss_lightning.methods.coseg.hog import shrunk
from wsss_lightning.ops.boundaries import crisp_boundaries

_LEAST = 16  # px, the sides that crisp boundaries need


def crisp_edges(image: NDArray[np.uint8], *, side: int) -> NDArray[np.float32]:
    """Squared strength of the crisp boundaries of an RGB image (H, W, 3), found with its longer side at `side` px.

    Squared, since theirs are sparser: structured edges of a texture are nearly 0.

    Returns:
        (h, w) in 0..1; 0 where the image is too small for them.
    """
    small = shrunk(image, side)
    if min(small.shape[:2]) < _LEAST:
        return np.zeros(small.shape[:2], np.float32)
    strength, _ = crisp_boundaries(small)
    return np.square(strength)


def seed_box(edges: NDArray[np.floating], size: tuple[int, int], *, canvas: int, share: float) -> NDArray[np.float32]:
    """The box around the median of the edges' energy that holds `share` of it along each axis.

    Args:
        edges: (h, w), strength, 0 or more.
        size: (H, W) of the image that the box is for.
        canvas: rows and columns that the map is shrunk to first.
        share: of the sum of squares of the strengths' sums over columns, and over rows; in 0..1.

    Returns:
        (4,) left, top, right, bottom in pixels; the whole image where there is no edge.
    """
    height, width = size
    small = cv2.resize(edges.astype(np.float32), (canvas, canvas), interpolation=cv2.INTER_AREA)
    (left, right), (top, bottom) = (stretch(small.sum(axis=axis), share) for axis in (0, 1))
    return np.multiply([left, top, right, bottom], np.array([width, height, width, height]) / canvas).astype(np.float32)


def stretch(profile: NDArray[np.floating], share: float) -> tuple[int, int]:
    """The stretch [first, last) of a profile (n,) that holds `share` of its squares' sum.

    It grows from the median towards the larger neighbour until it holds the share, then it is shrunk at either end as
    long as it goes on holding it.
    """
    squares = np.square(profile.astype(np.float64))
    if squares.sum() == 0:
        return 0, len(profile)
    squares /= squares.sum()
    first = int(np.searchsorted(squares.cumsum(), 0.5))
    last = first + 1
    while squares[first:last].sum() < share and last - first < len(squares):
        left = squares[first - 1] if first > 0 else -1.0
        right = squares[last] if last < len(squares) else -1.0
        first, last = (first - 1, last) if left > right else (first, last + 1)
    return _shrunk(squares, first, last, share)


def _shrunk(squares: NDArray[np.float64], first: int, last: int, share: float) -> tuple[int, int]:
    while last - first > 1:
        inner = (first + 1, last) if squares[first] < squares[last - 1] else (first, last - 1)
        if squares[slice(*inner)].sum() < share:
            break
        first, last = inner
    return first, last
