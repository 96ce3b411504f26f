"""Normalised cuts (Shi & Malik, PAMI 2000) of pixels, sped up by decimation.

The K smallest generalised eigenpairs of (D - W) x = lambda D x embed the pixels, D being the sums of the affinities W.
DNCuts (Pont-Tuset et al., Multiscale Combinatorial Grouping) solves for every fourth pixel only: with the rows S of W
at these and the columns of S' normalised to B, S B takes W's place, and x = B y.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.sparse.linalg import eigsh

# Below this many nodes LAPACK's eigh takes less time than ARPACK's hundreds of products.
_DENSE = 500


def kept_pixels(shape: tuple[int, int]) -> NDArray[np.intp]:
    """Flat indices of every second pixel of every second row of an (h, w) image, the second of each."""
    pixels = np.arange(shape[0] * shape[1]).reshape(shape)
    return pixels[1::2, 1::2].ravel()


def normalised_cut(affinity: Any, count: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Smallest generalised eigenpairs of (D - W) x = lambda D x.

    Args:
        affinity: W, sparse symmetric (n, n), positive row sums.
        count: eigenpairs K; n where that is less.
        rng: draws the start of the iteration.

    Returns:
        Values (K,), ascending from 0, and vectors (n, K).
    """
    nodes = affinity.shape[0]
    root = 1 / np.sqrt(affinity.sum(axis=0))
    symmetric = affinity.multiply(root).multiply(root[:, None]).tocsr()
    if nodes <= _DENSE or count >= nodes:
        values, vectors = eigh(symmetric.toarray(), subset_by_index=(max(nodes - count, 0), nodes - 1))
    else:
        # Far from converged digits: vectors are filtered for edges next.
        start = rng.random(nodes, affinity.dtype)
        values, vectors = eigsh(symmetric, count, which="LA", v0=start, tol=1e-3)  # type: ignore[no-untyped-call]
    order = np.argsort(-values, kind="stable")
    return (1 - values[order]).clip(0), root[:, None] * vectors[:, order]


def decimated_cut(
    rows: Any, shape: tuple[int, int], count: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Approximate eigenpairs of `normalised_cut` for all pixels, decimated twice.

    Args:
        rows: the affinity's rows at `kept_pixels(shape)`, (m, h w): the others are not used.
        shape: (h, w), both at least 4.
        count: eigenpairs K; the number of nodes left where that is less.
        rng: draws the start of the iteration.

    Returns:
        Values (K,), ascending from 0, and whitened vectors (h w, K).
    """
    coarse, first = _decimated(rows)
    coarse, second = _decimated(coarse[kept_pixels((shape[0] // 2, shape[1] // 2))])
    values, vectors = normalised_cut(coarse, count, rng)
    return values, _whitened(first @ (second @ vectors))


def _decimated(rows: Any) -> tuple[Any, Any]:
    """S B, symmetric, and B."""
    up = rows.multiply(1 / rows.sum(axis=0).clip(np.finfo(rows.dtype).tiny)).T.tocsr()
    return rows @ up, up


def _whitened(vectors: NDArray[Any]) -> NDArray[Any]:
    """Up-sampling leaves the vectors correlated; symmetric whitening undoes it. DNCuts' own does not centre."""
    centred = vectors - vectors.mean(axis=0)
    values, axes = np.linalg.eigh((centred.T @ centred).astype(np.float64) / len(centred))
    scales = 1 / np.sqrt(values.clip(1e-12 * values.max()))
    whitened: NDArray[Any] = centred @ ((axes * scales) @ axes.T).astype(vectors.dtype)
    return whitened
