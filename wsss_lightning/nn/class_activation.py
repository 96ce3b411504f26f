"""Class activation maps (Zhou et al., 2016): where the classifier's score of a class comes from."""

from collections.abc import Mapping

import torch
from torch import Tensor

from wsss_lightning.nn.trunk import Variant, enlarge


def activation_sum(maps: Mapping[Variant, Tensor], rows: Tensor, size: tuple[int, int], *, corners: bool) -> Tensor:
    """The classifier at every pixel, summed over what an image was looked at: scales and mirror images, turned back.

    Args:
        maps: the classifier's last maps, each (D, h, w).
        rows: of K classes, (K, D).
        size: (H, W) of the sum.
        corners: see `nn.trunk.Trunk`.

    Returns:
        (K, H, W), of any sign.
    """
    total = rows.new_zeros(len(rows), *size)
    for variant, each in maps.items():
        scores = torch.einsum("kd,dhw->khw", rows, each.to(rows.dtype))
        total += enlarge((scores.flip(-1) if variant.mirrored else scores)[None], size, corners=corners)[0]
    return total


def scaled_activation(total: Tensor) -> Tensor:
    """What is positive, divided by each class's maximum: (K, H, W) -> (K, H, W) in 0..1; a map without any stays 0."""
    positive = total.relu()
    return positive / positive.amax(dim=(1, 2), keepdim=True).clamp_min(torch.finfo(total.dtype).tiny)
