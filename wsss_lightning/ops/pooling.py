"""Pooling of maps to one value per class."""

import math

import torch
from torch import Tensor


def log_sum_exp_pool(scores: Tensor, sharpness: float, mask: Tensor | None = None) -> Tensor:
    """S = (1 / r) log mean exp(r s), between the mean (r -> 0) and the maximum (r -> infinity).

    priors eqs 11, 13, 14 and 16; patches eq 1 is its r = 1 with the sum in place of the mean.

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
        count = torch.full_like(exponents[..., 0, 0], exponents.shape[-2] * exponents.shape[-1])
    else:
        mask = mask.expand_as(scores)
        count = mask.sum(dim=(-2, -1)).type_as(exponents)
        # An empty mask is filled, so that its gradient is zero instead of undefined; its value is replaced below.
        exponents = exponents.masked_fill(~mask & (count > 0)[..., None, None], -math.inf)
    peak = exponents.detach().amax(dim=(-2, -1))
    pooled = (peak + _log_mean(exponents - peak[..., None, None], count.clamp_min(1))) / sharpness
    return torch.where(count == 0, math.nan, pooled)


def _log_mean(exponents: Tensor, count: Tensor) -> Tensor:
    """log(sum exp(x) / n) over the last two axes, for x <= 0: exact near 0, where log sum exp x - log n is noise."""
    spread = exponents.logsumexp(dim=(-2, -1)) - count.log()
    # Pixels that do not count have x = -inf; of them expm1 is -1 and must not be summed.
    near = (exponents.expm1().masked_fill(exponents.isneginf(), 0.0).sum(dim=(-2, -1)) / count).clamp_min(-0.5)
    return torch.where(near > -0.5, near.log1p(), spread)


def pool_log_sum_exp(scores: Tensor, sharpness: float) -> Tensor:
    """(1 / r) log sum exp(r F) over patches; patches eqs 1 and 3 are r = 1.

    Args:
        scores: F, (..., N, C): N patches of an image.
        sharpness: r > 0; towards 0 the softmax over C becomes that of the means, towards infinity that of the maxima.

    Returns:
        (..., C).
    """
    return (sharpness * scores).logsumexp(dim=-2) / sharpness


def pool_maximum(scores: Tensor) -> Tensor:
    """The highest of N patches in each column, (..., N, C) -> (..., C); it alone gets a gradient (patches sec. 4)."""
    return scores.max(dim=-2).values


def pool_mean(scores: Tensor) -> Tensor:
    """The mean over the N patches, (..., N, C) -> (..., C)."""
    return scores.mean(dim=-2)
