"""Pooling of maps to one value per class."""

import math

import torch
from torch import Tensor


def log_sum_exp_pool(scores: Tensor, sharpness: float, mask: Tensor | None = None) -> Tensor:
    """S = (1 / r) log mean exp(r s), between the mean (r -> 0) and the maximum (r -> infinity).

    priors eqs 11, 13, 14 and 16; patches eq 1 is r times as much with the sum in place of the mean.

    Args:
        scores: s, (..., H, W).
        sharpness: r > 0.
        mask: the pixels that count, bool, of a shape that broadcasts to that of `scores`; None counts all.

    Returns:
        (...); nan where a mask is empty.

    Raises:
        ValueError: `sharpness` is not positive.
    """
    if sharpness <= 0:
        raise ValueError(f"sharpness must be positive, not {sharpness}")
    exponents = sharpness * scores
    if mask is None:
        return (exponents.logsumexp(dim=(-2, -1)) - math.log(scores.shape[-2] * scores.shape[-1])) / sharpness
    mask = mask.expand_as(scores)
    count = mask.sum(dim=(-2, -1))
    # An empty mask is filled, so that its gradient is zero instead of undefined; its value is replaced below.
    kept = torch.where((count == 0)[..., None, None], True, mask)
    total = exponents.masked_fill(~kept, -math.inf).logsumexp(dim=(-2, -1))
    pooled = (total - count.clamp_min(1).to(total.dtype).log()) / sharpness
    return torch.where(count == 0, math.nan, pooled)
