"""Which points of an image to label: the k best, k good and diverse ones, and k that are background.

From "Diverse Sampling for Self-Supervised Learning of Semantic Segmentation", sec. 3.2. Everywhere in this file:

- P locations are numbered in row-major order; a result is int64 and in the order in which the points were picked.
- A point is picked at most once, and where fewer than k are left, all of them are returned.
- Ties go to the lowest index, so a result depends on the arguments alone.

A `Similarity` maps a location i to z_i . z over all P locations. The `*_by` functions take one, so that neither the
features nor a (P, P) matrix need exist: they call it once per picked point and keep a running maximum, O(k P).
"""

import math
from collections.abc import Callable, Iterator
from itertools import islice

import torch
from torch import Tensor

Similarity = Callable[[int], Tensor]


def top_points(scores: Tensor, k: int) -> Tensor:
    """The k locations with the highest scores S(., c) (sec. 3.2), (P,) -> (min(k, P),), best first.

    Raises:
        ValueError: `scores` is not (P,) and finite, or k is negative.
    """
    _check_scores(scores)
    _check_count(k)
    return torch.sort(scores, descending=True, stable=True).indices[:k]


def diverse_points(scores: Tensor, features: Tensor, k: int) -> Tensor:
    """Eqs. 3-4: points of high score, penalised for resembling the points picked before them.

        x_1 = argmax_i S(i, c)
        x_k = argmax_i S(i, c) [1 - max_{k' < k} z_i . z_{x_k'}]

    Args:
        scores: S(., c), (P,); see `scores` for why they should not be negative.
        features: z, (P, D) with rows of unit length (a zero row is accepted: it resembles nothing).
        k: number of points.

    Returns:
        (min(k, P),) int64 indices.

    Raises:
        ValueError: wrong shapes, scores that are not finite, rows longer than 1, a negative k.
    """
    _check_features(features)
    if len(scores) != len(features):
        raise ValueError(f"{len(scores)} scores do not match {len(features)} feature rows")
    return diverse_points_by(scores, lambda i: features @ features[i], k)


def diverse_points_by(scores: Tensor, similarity: Similarity, k: int) -> Tensor:
    """`diverse_points` with z_i . z given by `similarity(i)`, (P,) on the device of `scores`."""
    _check_count(k)
    steps = islice(diverse_steps_by(scores, similarity), k)
    return torch.tensor([point for _, point in steps], dtype=torch.int64, device=scores.device)


def diverse_steps_by(scores: Tensor, similarity: Similarity) -> Iterator[tuple[Tensor, int]]:
    """Eqs. 3-4 step by step, at most P of them: the map (P,) that is maximised, and the point.

    The first map is S(., c) itself; points picked before compete no more, whatever the map says of them.
    """
    _check_scores(scores)
    points = _no_points(scores.device)
    nearest = torch.full_like(scores, -math.inf)
    objective = scores
    while len(points) < len(scores):
        best = objective.index_fill(0, points, -math.inf).argmax()
        points = torch.cat([points, best.view(1)])
        nearest = torch.maximum(nearest, similarity(int(best)))
        yield objective, int(best)
        objective = scores * (1 - nearest)


def background_points(features: Tensor, foreground: Tensor, k: int) -> Tensor:
    """Eq. 5: the points least similar to every foreground point and to the background points picked before them.

        x_k^bg = argmin_i max( max_{c in F, k'} z_i . z_{x_k'^c},  max_{k'' < k} z_i . z_{x_k''^bg} )

    Args:
        features: z, (P, D) with rows of unit length (or zero).
        foreground: (M,) int64, the points of all classes in F; repeated indices count once. They are never picked.
            Without any, all locations tie in the first step and the first point is location 0, the top left corner.
        k: number of points.

    Returns:
        (min(k, P - M),) int64 indices.

    Raises:
        ValueError: wrong shapes, rows longer than 1, a foreground index outside 0..P-1, a negative k.
    """
    _check_features(features)
    return background_points_by(lambda i: features @ features[i], foreground, k, len(features))


def background_points_by(similarity: Similarity, foreground: Tensor, k: int, size: int) -> Tensor:
    """`background_points` with z_i . z given by `similarity(i)`, (size,) on the device of `foreground`; size is P."""
    _check_foreground(foreground, size)
    _check_count(k)
    distinct = sorted(set(foreground.tolist()))
    taken, nearest = foreground.new_tensor(distinct), torch.full((size,), -math.inf, device=foreground.device)
    for point in distinct:
        nearest = torch.maximum(nearest, similarity(point))
    points = _no_points(foreground.device)
    for _ in range(min(k, size - len(taken))):
        free = nearest.index_fill(0, torch.cat([taken, points]), math.inf)
        points = torch.cat([points, free.argmin().view(1)])
        nearest = torch.maximum(nearest, similarity(int(points[-1])))
    return points


def spatial_similarity(height: int, width: int, sigma: float) -> Similarity:
    """Closeness on the grid in place of likeness of features: exp(-d^2 / (2 sigma^2)), d and sigma in grid cells.

    The paper compares with "diversity in the spatial domain" (sec. 4.2, table 2) without a formula; this one is ours.
    It is 1 at the point itself and falls to 0, as z_i . z does.
    """
    if sigma <= 0:
        raise ValueError(f"sigma must be positive, not {sigma}")
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")

    def similarity(point: int) -> Tensor:
        squared_distance = (rows - point // width) ** 2 + (columns - point % width) ** 2
        return torch.exp(-squared_distance.flatten() / (2 * sigma**2))

    return similarity


def _no_points(device: torch.device) -> Tensor:
    return torch.empty(0, dtype=torch.int64, device=device)


def _check_scores(scores: Tensor) -> None:
    if scores.ndim != 1 or not scores.is_floating_point() or not bool(scores.isfinite().all()):
        raise ValueError(f"scores must be finite floats of shape (P,), not {scores.dtype} {tuple(scores.shape)}")


def _check_count(k: int) -> None:
    if k < 0:
        raise ValueError(f"k must not be negative, not {k}")


def _check_features(features: Tensor) -> None:
    if features.ndim != 2:
        raise ValueError(f"features must be (P, D), not {tuple(features.shape)}")
    # 1%: what half precision loses in a few thousand dimensions.
    if len(features) and float(torch.linalg.vector_norm(features, dim=1).max()) > 1.01:
        raise ValueError("feature rows must have unit length; normalise them first")


def _check_foreground(points: Tensor, size: int) -> None:
    if points.ndim != 1 or points.dtype != torch.int64:
        raise ValueError(f"foreground points must be int64 of shape (M,), not {points.dtype} {tuple(points.shape)}")
    if bool(((points < 0) | (points >= size)).any()):
        raise ValueError(f"foreground points must lie in 0..{size - 1}, not {int(points.min())}..{int(points.max())}")
