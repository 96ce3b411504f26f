"""Exemplar LDA: a detector from a single box, told from the statistics of all images (Hariharan, Malik & Ramanan,
Discriminative decorrelation for clustering and classification, ECCV 2012).

With background mean mu and covariance Sigma of a window's features x, the detector of an exemplar x_e is

    w = Sigma^-1 (x_e - mu),     score(x) = w . (x - mu) / sqrt(w . Sigma w),

so that a window of the background scores 0 on average with a standard deviation of 1, whatever the exemplar: scores of
different detectors can be compared, which is what ranks them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.linalg import cho_factor, cho_solve

from wsss_lightning.methods.coseg.hog import FEATURES, Floats, Shape


@dataclass(frozen=True)
class Exemplars:
    """Settings of the exemplars' detectors.

    Attributes:
        most: exemplars of a class; each is run on every image of it, so this bounds what is quadratic.
        background: images that the background's statistics are taken from.
        regularisation: added to the covariance's diagonal.
        threshold: least score of a detection.
        overlap: of two detections in an image, above which (intersection over union) the lower one goes.
        top: detections of a detector over all images; one with fewer is dropped.
        kept: share of the detectors, the best by their mean score, that is kept.
    """

    most: int
    background: int
    regularisation: float
    threshold: float
    overlap: float
    top: int
    kept: float


@dataclass(frozen=True)
class Background:
    """Mean (31,) of a cell's features and covariance (2 R + 1, 2 R + 1, 31, 31) of two cells by offset, -R first."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


def product_sums(levels: Sequence[Floats], reach: int) -> NDArray[np.float64]:
    """Sums over the cells p of an image's levels (h, w, 31) of y(p) y(p + offset)^T, where y is x and a 1.

    Args:
        reach: R, the longest offset in cells: one less than the longest side of a template.

    Returns:
        (2 R + 1, 2 R + 1, 32, 32) by offset, down and across, -R first; sums of several images add up.
    """
    side = next_fast_len(max(max(level.shape[:2]) for level in levels) + reach, real=True)  # type: ignore[no-untyped-call]
    extended = [np.pad(level, ((0, 0), (0, 0), (0, 1)), constant_values=1) for level in levels]
    spectra = [rfft2(level, s=(side, side), axes=(0, 1)) for level in extended]
    whole = sum(each.conj()[..., :, None] * each[..., None, :] for each in spectra)
    offsets = np.arange(-reach, reach + 1)
    sums: NDArray[np.float64] = irfft2(whole, s=(side, side), axes=(0, 1))[np.ix_(offsets, offsets)].astype(np.float64)
    return sums


def background(sums: NDArray[np.float64]) -> Background:
    """Mean and autocovariance, sum_p (x(p) - mu)(x(p + offset) - mu)^T / cells, from the sums of `product_sums`.

    Divided by the number of cells, not by that of pairs, which is smaller the longer the offset: so a window's
    covariance has no negative eigenvalue. (With pairs, long offsets come from other images than short ones do, and the
    regularisation must grow a hundredfold until the covariance is positive definite.)
    """
    here = sums[len(sums) // 2, len(sums) // 2]
    count = here[-1, -1]
    mean = here[:-1, -1] / count
    centre = np.column_stack([np.eye(FEATURES), -mean])
    return Background(mean, centre @ sums @ centre.T / count)


def window_covariance(statistics: Background, shape: Shape) -> NDArray[np.float64]:
    """Sigma of a window of (h, w) cells, (h w 31, h w 31): that of two cells depends on their offset alone."""
    rows, columns = np.indices(shape).reshape(2, -1)
    down, across = (x[None, :] - x[:, None] for x in (rows, columns))
    reach = len(statistics.covariance) // 2
    blocks = statistics.covariance[down + reach, across + reach]
    side = len(rows) * FEATURES
    covariance: NDArray[np.float64] = blocks.transpose(0, 2, 1, 3).reshape(side, side)
    return covariance


def exemplar_detectors(
    features: NDArray[np.floating], statistics: Background, *, regularisation: float
) -> tuple[Floats, Floats]:
    """Detectors of exemplars of one shape.

    Args:
        features: (E, h, w, 31).
        statistics: of the background.
        regularisation: added to Sigma's diagonal, more than 0.

    Returns:
        Weights (E, h w 31) and offsets (E,); a window x scores weights . x - offset.
    """
    shape = (features.shape[1], features.shape[2])
    mean = np.tile(statistics.mean, shape[0] * shape[1])
    centred = features.reshape(len(features), -1) - mean
    covariance = window_covariance(statistics, shape)
    covariance[np.diag_indices_from(covariance)] += regularisation
    factor = cho_factor(covariance, overwrite_a=True, check_finite=False)
    weights = cho_solve(factor, centred.T).T  # type: ignore[no-untyped-call]
    # w . Sigma w = w . (x_e - mu); 0 only for an exemplar that is the mean itself.
    spread = np.sqrt(np.maximum((weights * centred).sum(axis=1), np.finfo(np.float64).tiny))
    weights /= spread[:, None]
    return weights.astype(np.float32), (weights @ mean).astype(np.float32)
