"""Predictions at several scales, and what tags leave of them (coseg secs. 3.3 and 4.2)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from wsss_lightning.ops.resize import resize_maps


def scaled_size(size: tuple[int, int], scale: float, *, stride: int) -> tuple[int, int]:
    """The multiples of `stride` that are nearest to `scale` times (height, width), at least one: whole cells."""
    height, width = (max(round(scale * edge / stride), 1) * stride for edge in size)
    return height, width


def mean_at_size(maps: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    """Probability maps (L, h_s, w_s) of the same image at several scales -> their mean at `size`, (L, H, W).

    The paper sums them, which ranks labels alike.
    """
    return torch.stack([resize_maps(each[None], size)[0] for each in maps]).mean(dim=0)


def constrained_labels(scores: Tensor, tags: Tensor) -> Tensor:
    """argmax_j y_j f_j at every pixel, where y is 1 for the image's tags and for background (eq 2).

    Args:
        scores: f, (L, H, W), never negative: a product with 0 would beat what is below it.
        tags: (C,) bool, without background.

    Returns:
        Labels (H, W) int64.
    """
    possible = F.pad(tags, (1, 0), value=True)
    return (scores * possible[:, None, None].type_as(scores)).argmax(dim=0)
