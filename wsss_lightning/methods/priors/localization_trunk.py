"""The localization network on the maps of a `Trunk`, which may stay as it is and have its maps stored."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from wsss_lightning.methods.priors.localization_network import draw_linear
from wsss_lightning.nn.backbones import Backbone
from wsss_lightning.nn.class_activation import activation_sum
from wsss_lightning.nn.trunk import Learning, Trunk, Variant, variants


class LocalizationTrunk(nn.Module):
    """One linear layer on the average of a trunk's deep map; M_c (eq 1) summed over scales and mirror images.

    A batch has `image` (N, 3, H, W); or, of a frozen trunk, `pooled` (N, D) to learn from and `deep`, maps (D, h, w) by
    variant of each image, to look at.

    Args:
        trunk: its maps are looked at.
        num_classes: C.
        scales: that an image is looked at.
        mirror: look at its mirror image, too.
    """

    def __init__(self, trunk: Trunk, *, num_classes: int, scales: Sequence[float], mirror: bool) -> None:
        super().__init__()
        self.backbone = trunk
        self.scores = nn.Linear(trunk.channels[1], num_classes)
        self.variants = variants(scales, mirror=mirror)

    @property
    def weights(self) -> Tensor:
        """w_kc as (C, K)."""
        return self.scores.weight

    def features(self, images: Tensor) -> Tensor:
        """f_k at the images' own scale, normalised images (N, 3, H, W) -> (N, K, h, w)."""
        return self.backbone.look(images, Variant())[1]

    def forward(self, images: Tensor) -> Tensor:
        """Class logits S_c, (N, C)."""
        return self.scores(self.features(images).mean(dim=(2, 3)))  # type: ignore[no-any-return]

    def logits(self, batch: dict[str, Any]) -> Tensor:
        """S_c of a batch, (N, C)."""
        if "pooled" not in batch:
            return self(batch["image"])  # type: ignore[no-any-return]
        with torch.autocast(self.weights.device.type, enabled=False):  # one layer: nothing to be gained
            return self.scores(batch["pooled"].float())  # type: ignore[no-any-return]

    def maps_of_tags(self, batch: dict[str, Any]) -> list[Tensor]:
        """M_c of the classes that each image's tags name, (T, H, W) at the image's own size, in half precision."""
        deep = batch["deep"] if "deep" in batch else self.backbone.deep_looks(batch["image"], self.variants)
        sizes = [(int(height), int(width)) for height, width in batch["size"]]
        with torch.autocast(self.weights.device.type, enabled=False):
            return [
                activation_sum(maps, self.weights[tags], size, corners=self.backbone.corners).half()
                for maps, tags, size in zip(deep, batch["tags"], sizes, strict=True)
            ]


def localization_trunk(
    backbone: Backbone,
    *,
    num_classes: int,
    generator: torch.Generator,
    stride: int = 16,
    trunk: Learning = "frozen",
    scales: Sequence[float] = (0.5, 1.0, 1.5),
    mirror: bool = True,
) -> LocalizationTrunk:
    """A localization network on the maps of a backbone, which it takes over; `trunk`: what of it learns."""
    network = LocalizationTrunk(
        Trunk(backbone, stride=stride, learning=trunk), num_classes=num_classes, scales=scales, mirror=mirror
    )
    draw_linear(network.scores, generator)
    return network
