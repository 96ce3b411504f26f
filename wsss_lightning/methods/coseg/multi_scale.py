"""Predictions at several scales, and what tags leave of them (coseg secs. 3.3 and 4.2)."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from wsss_lightning.nn.prediction import Edges
from wsss_lightning.ops.resize import resize_maps


def scaled_size(size: tuple[int, int], scale: float, *, stride: int) -> tuple[int, int]:
    """The multiples of `stride` that are nearest to `scale` times (height, width), at least one: whole cells."""
    return Edges(stride).nearest((scale * size[0], scale * size[1]))


def grey_levels(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """The pictures (N, 3, H, W) uint8, on the CPU, that images were normalised from; `mean`, `std`: (3, 1, 1)."""
    return (images.cpu().float() * std + mean).mul(255).round().to(torch.uint8)


def normalised_at(levels: Tensor, size: tuple[int, int], mean: Tensor, std: Tensor) -> Tensor:
    """Pictures (N, 3, H, W) uint8 resized without aliasing, in whole grey levels, and normalised: float32."""
    resized = F.interpolate(levels, size, mode="bilinear", antialias=True)
    return resized.float().div(255).sub(mean).div(std)


def mean_at_size(maps: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    """Probability maps (N, L, h_s, w_s) of the same images at several scales -> their mean at `size`, (N, L, H, W).

    The paper sums them, which ranks labels alike.
    """
    return torch.stack([resize_maps(each, size) for each in maps]).mean(dim=0)


def read_maps(stored: Mapping[str, Tensor], size: tuple[int, int]) -> Tensor:
    """Maps as they are kept of an image, by number of the scale -> their mean at `size`, (L, H, W)."""
    return mean_at_size([stored[name][None].float() for name in sorted(stored, key=int)], size)[0]


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
