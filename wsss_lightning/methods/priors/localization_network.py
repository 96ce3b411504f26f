"""The localization network: a classifier whose last maps say where it looked (priors secs. 3.1.2 and 4.2.2)."""

from typing import Any

import torch
from torch import Tensor, nn

from wsss_lightning.methods.priors.priors import class_activation_maps
from wsss_lightning.nn.backbones import Backbone
from wsss_lightning.nn.resnet import ResNet
from wsss_lightning.nn.vgg import VGG

_STD = 0.01  # of the linear layer, small so that training starts from even scores; the paper says "random"


class LocalizationNetwork(nn.Module):
    """Feature maps f_k, their mean F_k over the image, and one linear layer: S_c = b_c + sum_k w_kc F_k (sec. 3.1.2).

    With `class_activation_maps(network.features(images), network.weights)` S_c is the mean of M_c plus b_c.

    Args:
        backbone: taken over, its weights train.
        convolutions: what stands in for fc6 and fc7 on its last map, before the last pool.
        width: K, channels of f.
        num_classes: C.
    """

    def __init__(self, backbone: Backbone, *, convolutions: nn.Module, width: int, num_classes: int) -> None:
        super().__init__()
        backbone.drop_classifier()
        self.backbone = backbone.requires_grad_(True)
        self.convolutions = convolutions
        self.scores = nn.Linear(width, num_classes)

    @property
    def weights(self) -> Tensor:
        """w_kc as (C, K)."""
        return self.scores.weight

    def features(self, images: Tensor) -> Tensor:
        """f_k, normalised images (N, 3, H, W) -> (N, K, h, w)."""
        return self.convolutions(self.backbone.blocks(images)[-1][-1])  # type: ignore[no-any-return]

    def forward(self, images: Tensor) -> Tensor:
        """Class logits S_c, (N, C)."""
        return self.scores(self.features(images).mean(dim=(2, 3)))  # type: ignore[no-any-return]

    def logits(self, batch: dict[str, Any]) -> Tensor:
        """S_c of a batch of images, (N, C)."""
        return self(batch["image"])  # type: ignore[no-any-return]

    def maps_of_tags(self, batch: dict[str, Any]) -> list[Tensor]:
        """M_c (eq 1) of the classes that each image's tags name, (T, h, w)."""
        features = self.features(batch["image"])
        return [
            class_activation_maps(maps[None], self.weights[tags])[0].float()
            for maps, tags in zip(features, batch["tags"], strict=True)
        ]

    def train(self, mode: bool = True) -> "LocalizationNetwork":
        """Training mode for all but the backbone, whose batch norm would follow a small batch."""
        super().train(mode)
        self.backbone.eval()
        return self


def localization_vgg(
    backbone: VGG, *, num_classes: int, generator: torch.Generator, kernel: int, hidden: int
) -> LocalizationNetwork:
    """VGG with fc6 and fc7 replaced by two random convolutions of `hidden` filters (sec. 4.2.2).

    The fifth pool goes with them, as in Zhou et al. (2016), the paper's model: maps of 14 x 14 for 224 x 224 px
    instead of 7 x 7.
    """
    first = _convolution(backbone.channels[-1], hidden, kernel, generator)
    second = _convolution(hidden, hidden, kernel, generator)
    convolutions = nn.Sequential(first, nn.ReLU(), second, nn.ReLU())
    network = LocalizationNetwork(backbone, convolutions=convolutions, width=hidden, num_classes=num_classes)
    draw_linear(network.scores, generator)
    return network


def localization_resnet(backbone: ResNet, *, num_classes: int, generator: torch.Generator) -> LocalizationNetwork:
    """ResNet with a new linear layer on the mean of its last stage, which is built for class activation maps."""
    width = backbone.channels[-1]
    network = LocalizationNetwork(backbone, convolutions=nn.Identity(), width=width, num_classes=num_classes)
    draw_linear(network.scores, generator)
    return network


def _convolution(inputs: int, outputs: int, kernel: int, generator: torch.Generator) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, kernel, padding="same")
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def draw_linear(layer: nn.Linear, generator: torch.Generator) -> None:
    """Draw the linear layer behind the pooling; its biases are 0."""
    nn.init.normal_(layer.weight, std=_STD, generator=generator)
    nn.init.zeros_(layer.bias)
