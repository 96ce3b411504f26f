"""Class activation maps (Zhou et al., 2016): where the classifier's score of a class comes from."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from wsss_lightning.errors import InputError
from wsss_lightning.nn.backbones import Backbone
from wsss_lightning.nn.initialisation import LAST_STD, label_rows
from wsss_lightning.nn.resnet import ResNet
from wsss_lightning.nn.trunk import Variant, enlarge

HeadStart = Literal["drawn", "shared_rows"]


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
    if not len(rows):  # of an image without tags, and interpolation wants a map
        return total
    for variant, each in maps.items():
        scores = torch.einsum("kd,dhw->khw", rows, each.to(rows.dtype))
        total += enlarge((scores.flip(-1) if variant.mirrored else scores)[None], size, corners=corners)[0]
    return total


def scaled_activation(total: Tensor) -> Tensor:
    """What is positive, divided by each class's maximum: (K, H, W) -> (K, H, W) in 0..1; a map without any stays 0."""
    positive = total.relu()
    return positive / positive.amax(dim=(1, 2), keepdim=True).clamp_min(torch.finfo(total.dtype).tiny)


def shared_rows(backbone: Backbone, class_names: Sequence[str], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Weight (C, K) and bias (C,) out of a ResNet's classifier: the rows that show a class less the mean of all rows.

    They are those of the segmenter of priors sec. 4.2.1; a class without a row is drawn. Without the mean, which all
    rows have in common, a class is told from others and not from background.

    Raises:
        InputError: another backbone than a ResNet, whose classifier does not look at the last map.
    """
    if not isinstance(backbone, ResNet):
        raise InputError(f"The classifier of {type(backbone).__name__} does not look at its last map: set start=drawn.")
    weight, bias = label_rows(
        backbone.classifier(),
        class_names=class_names,
        shared=backbone.shared,
        generator=generator,
        centred=True,
        std=LAST_STD,
    )
    return weight[1:], bias[1:]  # no background
