"""Superpixels and the vote of their pixels (patches sec. 3.3)."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import felzenszwalb

Superpixels = NDArray[np.intp]
Label = TypeVar("Label", bound=np.integer[Any])


def superpixels(image: NDArray[np.uint8], *, scale: float, sigma: float, min_size: int) -> Superpixels:
    """Segments of Felzenszwalb and Huttenlocher (2004), the paper's [23]: (H, W), 0..R-1.

    Args:
        image: RGB (H, W, 3).
        scale: their k, for colours in 0..255: larger ones for larger segments.
        sigma: of the Gaussian that smooths the image first, in px.
        min_size: pixels of the smallest segment.
    """
    segments: Superpixels = felzenszwalb(image, scale=scale, sigma=sigma, min_size=min_size)
    return segments


def majority_vote(labels: NDArray[Label], superpixels: Superpixels) -> NDArray[Label]:
    """Give each superpixel the label that most of its pixels have, of equally frequent ones the lowest.

    Args:
        labels: (H, W), not negative.
        superpixels: (H, W), numbers from 0.

    Returns:
        (H, W) in the dtype of `labels`.

    Raises:
        ValueError: the shapes differ.
    """
    if labels.shape != superpixels.shape:
        raise ValueError(f"labels are {labels.shape}, superpixels {superpixels.shape}")
    count = int(labels.max()) + 1
    pairs = superpixels * count + labels
    votes = np.bincount(pairs.ravel(), minlength=(int(superpixels.max()) + 1) * count).reshape(-1, count)
    winners: NDArray[Label] = votes.argmax(axis=1).astype(labels.dtype)
    return winners[superpixels]
