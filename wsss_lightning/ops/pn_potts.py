"""P^n-Potts terms over regions in a mean field (priors sec. 3.1.3; Vineet, Warrell & Torr, ECCV 2012).

A region c costs g_cl if all of its pixels take label l and g_max otherwise. Under a field Q = prod_i Q_i its expected
cost, seen from pixel i with label l, is

    p g_cl + (1 - p) g_max,     p = prod_{j in c, j != i} Q_j(l).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

_BLOCK = 4096  # pixels at a time, which stay in the processor's cache for 21 labels
_TINY = float(np.finfo(np.float32).tiny)  # a float32 probability underflows to 0, whose logarithm has no use


def region_energies(
    q: NDArray[np.floating], regions: NDArray[np.integer], costs: NDArray[np.floating], maximum: float
) -> NDArray[np.floating]:
    """Expected cost of every pixel's region for every label of that pixel.

    Args:
        q: marginals Q, (L, P).
        regions: c of each pixel, (P,) in 0..R-1.
        costs: g, (R, L).
        maximum: g_max.

    Returns:
        (L, P) of the dtype of `q`.
    """
    # Products over thousands of factors underflow, their logarithms do not; pixel by pixel, as pydensecrf keeps them.
    logarithms = np.log(np.maximum(q.T, _TINY))
    members: Any = csr_array((np.ones_like(logarithms[:, 0]), regions, np.arange(len(regions) + 1)))  # type: ignore[no-untyped-call]
    totals, excess = members.T @ logarithms, (costs - maximum).astype(q.dtype)
    energies = np.empty(q.shape, q.dtype)
    for start in range(0, len(regions), _BLOCK):
        block = slice(start, start + _BLOCK)
        others = np.exp(totals[regions[block]] - logarithms[block])
        energies[:, block] = (q.dtype.type(maximum) + others * excess[regions[block]]).T
    return energies
