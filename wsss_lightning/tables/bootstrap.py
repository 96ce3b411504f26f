"""Paired bootstrap over images and seeds of a difference in IoU (Efron & Tibshirani 1993, percentile interval)."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1_000
LEVEL = 0.95
_SEED = 0  # fixed, so that a table printed twice is the same table

Matrices = NDArray[np.int64]
Floats = NDArray[np.float64]
Score = Callable[[Floats], Floats]


def mean_ious(confusion: NDArray[np.float64] | Matrices) -> Floats:
    """Mean IoU over the labels that occur, (..., L, L) -> (...); rows are true labels, fractions."""
    each = ious(confusion)
    occurs = ~np.isnan(each)
    count = occurs.sum(axis=-1)
    total = np.where(occurs, each, 0.0).sum(axis=-1)
    mean: Floats = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return mean


def foreground_iou(confusion: NDArray[np.float64] | Matrices) -> Floats:
    """IoU of the class in matrices of one class against all others, (..., 2, 2) -> (...): patches' AP."""
    iou: Floats = ious(confusion)[..., 1]
    return iou


def ious(confusion: NDArray[np.float64] | Matrices) -> Floats:
    """IoU of each label, (..., L, L) -> (..., L); nan where it does not occur."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1).astype(np.float64)
    union = confusion.sum(axis=-1) + confusion.sum(axis=-2) - hits
    each: Floats = np.divide(hits, union, out=np.full_like(hits, np.nan), where=union > 0)
    return each


def draws(images: int, *, resamples: int = RESAMPLES) -> NDArray[np.int64]:
    """How often each image occurs in each resample, (R, N): N images drawn with replacement, always the same ones."""
    generator = np.random.default_rng(_SEED)
    return generator.multinomial(images, np.full(images, 1 / images), size=resamples)


def seed_draws(seeds: int, *, resamples: int = RESAMPLES) -> NDArray[np.int64]:
    """How often each seed occurs in each resample, (R, S): apart from `draws`, always the same ones."""
    generator = np.random.default_rng(_SEED + 1)
    return generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples)


def paired_interval(
    ours: Matrices, reference: Matrices, *, score: Score = mean_ious, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """The 95 % interval of score(ours) - score(reference), each the mean over seeds.

    Every resample draws images and seeds with replacement, the same ones for both rows. A single seed leaves nothing
    to draw, so the interval then covers the choice of images alone; from few seeds their spread is covered by a factor
    of sqrt((S - 1) / S) too narrow, as any bootstrap's of S numbers.

    Args:
        ours: (S, N, L, L) int64, a confusion matrix per seed and image.
        reference: likewise, of the same images in the same order.
        score: `mean_iou` or `foreground_iou`, of the sum over images.
        resamples: how many.

    Raises:
        ValueError: shapes that cannot be paired.
    """
    if ours.ndim != 4 or ours.shape != reference.shape or not ours.shape[1]:
        raise ValueError(f"matrices of shape {ours.shape} and {reference.shape} cannot be paired")
    counts = draws(ours.shape[1], resamples=resamples).astype(np.float64)
    difference = _resampled(ours, counts, score) - _resampled(reference, counts, score)
    weights = seed_draws(len(ours), resamples=resamples) / len(ours)
    low, high = np.quantile((weights * difference.T).sum(axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _resampled(matrices: Matrices, counts: Floats, score: Score) -> Floats:
    """Each seed's score of each resample of images, (S, N, L, L) and (R, N) -> (S, R)."""
    labels = matrices.shape[-1]
    # Sums of integers below 2^53 are exact in float64, in whichever order a BLAS adds them.
    per_seed = [counts @ m.reshape(len(m), -1).astype(np.float64) for m in matrices]
    return np.stack([score(total.reshape(-1, labels, labels)) for total in per_seed])
