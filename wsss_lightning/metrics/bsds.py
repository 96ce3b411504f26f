"""Scores of boundaries and regions against several humans' segmentations.

The Berkeley benchmark: Martin, Fowlkes & Malik, PAMI 2004; Arbelaez, Maire, Fowlkes & Malik, PAMI 2011.

Boundaries are scored over thresholds of their strength by counts that are summed over a data set before F is formed.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MatchCounts = NDArray[np.int64]
Mask = NDArray[np.bool_]

TOLERANCE = 0.0075  # of the diagonal: the benchmark's largest distance of a match
THRESHOLDS = np.arange(1, 100) / 100  # the benchmark's 99


def precedence_matching(neighbours: Sequence[Sequence[int]], columns: int) -> Mask:
    """Rows of a largest one-to-one matching in which earlier rows have precedence.

    The first n rows hold as many matches as any matching of these n alone has, so that one pass serves all thresholds
    on the rows' order. (scipy's `maximum_bipartite_matching` takes 10 s for the pixels of some pictures, this 20 ms.)

    Args:
        neighbours: the columns that each row may take, preferred ones first.
        columns: how many there are.
    """
    owners, reached = [-1] * columns, [-1] * columns
    matched = np.zeros(len(neighbours), bool)
    for row in range(len(neighbours)):
        parents, free = _search(row, neighbours, owners, reached)
        if free is None:
            for column in parents:  # nothing free will ever be reached from these
                reached[column] = len(neighbours)
        else:
            _augment(free, parents, owners)
            matched[row] = True
    return matched


def _search(
    row: int, neighbours: Sequence[Sequence[int]], owners: list[int], reached: list[int]
) -> tuple[dict[int, int], int | None]:
    """Columns reached on alternating paths, breadth first, with the rows they are reached from, and a free one."""
    queue, parents = [row], dict[int, int]()
    for current in queue:
        for column in neighbours[current]:
            if reached[column] < row:
                reached[column], parents[column] = row, current
                if owners[column] < 0:
                    return parents, column
                queue.append(owners[column])
    return parents, None


def _augment(free: int, parents: dict[int, int], owners: list[int]) -> None:
    """Hand every column on the path to the row it was reached from."""
    owned = {owners[column]: column for column in parents}
    column: int | None = free
    while column is not None:
        row = parents[column]
        owners[column] = row
        column = owned.get(row)


def _near(pixels: NDArray[np.intp], truth: Mask, radius: float) -> list[list[int]]:
    """Numbers of the true pixels within `radius` of each pixel (N, 2), the nearest first."""
    reach = int(radius)
    down, across = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1)
    order = np.argsort(down**2 + across**2, kind="stable")
    order = order[(down**2 + across**2)[order] <= radius**2]
    numbers = np.full(truth.shape, -1)
    numbers[truth] = np.arange(np.count_nonzero(truth))
    numbers = np.pad(numbers, reach, constant_values=-1)
    neighbours = numbers[pixels[:, :1] + reach + down[order], pixels[:, 1:] + reach + across[order]]
    return [row[row >= 0].tolist() for row in neighbours]


def boundary_counts(
    strength: NDArray[np.floating],
    truths: Sequence[Mask],
    thresholds: NDArray[np.floating] = THRESHOLDS,
    tolerance: float = TOLERANCE,
) -> MatchCounts:
    """Counts behind precision and recall of one image.

    Predicted pixels match true ones one to one within the tolerance, for each human anew; the benchmark's program
    approximates the matching by random sparse assignment and thins at each threshold.

    Args:
        strength: (H, W), thinned, 0 where there is no boundary.
        truths: the boundaries of each human, (H, W) bool.
        thresholds: ascending and positive, (T,); pixels at least as strong count as predicted.
        tolerance: largest distance of a match as a fraction of the diagonal.

    Returns:
        (T, 4) int64: matched true pixels and all true pixels, summed over humans; predicted pixels that match for any
        human, and all predicted pixels.

    Raises:
        ValueError: no human, or sizes differ.
    """
    if not truths or any(truth.shape != strength.shape for truth in truths):
        raise ValueError(f"need at least one true mask, of the size {strength.shape}")
    pixels = np.argwhere(strength >= thresholds[0])
    values = strength[tuple(pixels.T)]
    order = np.argsort(-values, kind="stable")
    radius = tolerance * float(np.hypot(*strength.shape))
    totals = [int(np.count_nonzero(truth)) for truth in truths]
    near = (_near(pixels[order], truth, radius) for truth in truths)
    matched = np.stack([precedence_matching(neighbours, total) for neighbours, total in zip(near, totals, strict=True)])
    predicted = np.searchsorted(-values[order], -thresholds, side="right")
    per_pixel = (matched.sum(axis=0), matched.any(axis=0))
    recalled, right = (np.append(0, flags.cumsum())[predicted] for flags in per_pixel)
    return np.stack([recalled, np.full(len(thresholds), sum(totals)), right, predicted], axis=1).astype(np.int64)


def precision_recall_f(counts: MatchCounts) -> NDArray[np.float64]:
    """Precision, recall and F from counts, (..., 4) -> (..., 3).

    As in the benchmark, precision without predictions and recall without true pixels are 0.
    """
    recall, precision = counts[..., 0] / counts[..., 1].clip(1), counts[..., 2] / counts[..., 3].clip(1)
    f = 2 * precision * recall / np.maximum(precision + recall, np.finfo(float).tiny)
    return np.stack([precision, recall, f], axis=-1)


def optimal_dataset_scale(counts: MatchCounts) -> tuple[int, float]:
    """The threshold, as an index, that is best for all images together, and its F: ODS.

    Args:
        counts: (N, T, 4), of N images.
    """
    f = precision_recall_f(counts.sum(axis=0))[:, 2]
    return int(f.argmax()), float(f.max())


def optimal_image_scale(counts: MatchCounts) -> float:
    """F of all images, each at its own best threshold: OIS.

    Args:
        counts: (N, T, 4), of N images.
    """
    best = precision_recall_f(counts)[..., 2].argmax(axis=1)
    return float(precision_recall_f(counts[np.arange(len(counts)), best].sum(axis=0))[2])


def boundary_average_precision(counts: MatchCounts) -> float:
    """Area under the precision of all images over recall in 0..1, with 0 beyond what is reached: AP.

    Args:
        counts: (N, T, 4), of N images, thresholds ascending.
    """
    precision, recall, _ = precision_recall_f(counts.sum(axis=0))[::-1].T
    return float(np.interp(np.linspace(0, 1, 101), recall, precision, right=0).mean())


def region_covering(labels: NDArray[np.integer], truths: Sequence[NDArray[np.integer]]) -> float:
    """Mean over humans of how well regions cover theirs: sum over true regions R of |R| / (H W) max IoU(R, .).

    Args:
        labels: (H, W), >= 0.
        truths: each human's regions, (H, W), >= 0.
    """
    return float(np.mean([_covering(labels, truth) for truth in truths]))


def _covering(labels: NDArray[np.integer], truth: NDArray[np.integer]) -> float:
    width = int(labels.max()) + 1
    pairs = truth.ravel().astype(np.int64) * width + labels.ravel()
    shared = np.bincount(pairs, minlength=(int(truth.max()) + 1) * width).reshape(-1, width)
    sizes = shared.sum(axis=1, keepdims=True)
    overlaps = shared / np.maximum(sizes + shared.sum(axis=0) - shared, 1)
    return float((sizes[:, 0] * overlaps.max(axis=1)).sum() / labels.size)
