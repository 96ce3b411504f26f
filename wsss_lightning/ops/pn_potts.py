"""P^n-Potts terms over regions in a mean field (priors sec. 3.1.3; Vineet, Warrell & Torr, ECCV 2012).

A region c costs g_cl if all of its pixels take label l and g_max otherwise. Under a field Q = prod_i Q_i its expected
cost, seen from pixel i with label l, is

    p g_cl + (1 - p) g_max,     p = prod_{j in c, j != i} Q_j(l).
"""

import numpy as np
from numpy.typing import NDArray

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
    energies = np.empty_like(q)
    # Products over thousands of factors underflow, their logarithms do not.
    logarithms = np.log(np.maximum(q, _TINY))
    for label, (own, cost) in enumerate(zip(logarithms, costs.T.astype(q.dtype), strict=True)):
        total = np.bincount(regions, weights=own, minlength=len(costs))
        others = np.exp((total[regions] - own).astype(q.dtype))
        energies[label] = maximum + others * (cost - q.dtype.type(maximum))[regions]
    return energies
