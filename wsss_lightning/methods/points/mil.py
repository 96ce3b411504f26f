"""Multiple-instance pooling: from two score maps to the probability that an image contains a class.

From "Diverse Sampling for Self-Supervised Learning of Semantic Segmentation", sec. 3.1. Both equations are a sigmoid of
a difference of scores; the `*_logits` functions stop before the sigmoid, because a log-loss on the probability itself
has no gradient left where a wrong answer has saturated (`binary_cross_entropy_with_logits` has).
"""

import torch
from torch import Tensor


def pixel_logits(foreground: Tensor, background: Tensor) -> Tensor:
    """Log-odds of eq. 1: max_i of S(c, i) - S̄(c, i).

    Args:
        foreground: S(c, .), (N, H, W) unbounded scores.
        background: S̄(c, .), same shape.

    Returns:
        (N,) log-odds; each has a gradient at one location, the first in row-major order where
        several tie.

    Raises:
        ValueError: the maps are not (N, H, W), are empty, or differ in shape.
    """
    _check_maps(foreground, background)
    return _max_over_pixels(foreground - background)


def global_logits(foreground: Tensor, background: Tensor) -> Tensor:
    """Log-odds of eq. 2: max_j S(c, j) - max_l S̄(c, l).

    Arguments, shapes and errors as in `pixel_logits`; the gradient reaches one location of each map, so two per image.
    """
    _check_maps(foreground, background)
    return _max_over_pixels(foreground) - _max_over_pixels(background)


def pixel_softmax(foreground: Tensor, background: Tensor) -> Tensor:
    """Eq. 1: p(c) = max_i exp S(c, i) / (exp S(c, i) + exp S̄(c, i)), the probability in [0, 1] of shape (N,).

    The sigmoid is monotonic, so the maximum is taken before it and nothing overflows. See `pixel_logits`.
    """
    return torch.sigmoid(pixel_logits(foreground, background))


def global_softmax(foreground: Tensor, background: Tensor) -> Tensor:
    """Eq. 2: p(c) = max_i exp S(c, i) / (max_j exp S(c, j) + max_l exp S̄(c, l)), in [0, 1], shape (N,).

    Numerator and denominator hold the same two maxima, so p is the sigmoid of their difference and stays exact for
    scores whose exponential overflows. A constant added to both maps changes nothing. See `global_logits`.
    """
    return torch.sigmoid(global_logits(foreground, background))


def _max_over_pixels(maps: Tensor) -> Tensor:
    # max(dim) sends the gradient to a single index; amax would share it among ties.
    return maps.flatten(1).max(dim=1).values


def _check_maps(foreground: Tensor, background: Tensor) -> None:
    if foreground.shape != background.shape or foreground.ndim != 3 or foreground.numel() == 0:
        raise ValueError(
            f"need two non-empty score maps (N, H, W), not {tuple(foreground.shape)} and {tuple(background.shape)}"
        )
