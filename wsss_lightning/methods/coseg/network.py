"""The coseg paper's segmenters: label scores at 1/8 of an image, and a branch that tells which labels it shows.

Layers up to res3 are shared, those above come twice: dilated for the scores, as they were for the branch (sec. 3.3).
"""

import copy
import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from wsss_lightning.nn.backbones import Backbone
from wsss_lightning.nn.deeplab import strideless_pool
from wsss_lightning.nn.initialisation import draw_layers
from wsss_lightning.nn.resnet import ResNet
from wsss_lightning.nn.vgg import VGG

Branch = Literal["apart", "added"]
# Its maxima are large, and all pixels pull at what it adds: with a gain of sqrt(2) training came to nothing.
BRANCH_GAIN = 0.5


class Scores(NamedTuple):
    """Logits of pixels (N, L, h, w) at 1/8 of the images, and of their labels (N, L), None without a branch."""

    pixels: Tensor
    image: Tensor | None


@dataclass(frozen=True)
class Parts:
    """A backbone taken apart: the layers to 1/8 of the input, those above with and without dilation, their width.

    `late`: whether a dilated map's cells stand half a cell behind the middle of their 8 x 8 px, or before it.
    """

    low: nn.Module
    dilated: nn.Module
    strided: nn.Module
    width: int
    late: bool


class CosegNetwork(nn.Module):
    """Scores of every label at 1/8 of an image, with or without the global multi-label branch (sec. 3.3).

    Args:
        backbone: a VGG or a ResNet, taken over; all weights train.
        num_labels: L.
        hidden: filters of the head's two layers.
        dilation: cells of 8 px between the taps of its first, 3 x 3.
        dropout: behind the first; in the branch behind both layers.
        branch: None for none; "apart": it only shares layers; "added": its logits are added to those of every pixel.
        branch_hidden: units of its two layers.
        generator: draws what the backbone does not have.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        num_labels: int,
        hidden: int,
        dilation: int,
        dropout: float,
        branch: Branch | None,
        branch_hidden: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        parts = take_apart(backbone)
        self.low, self.high = parts.low.requires_grad_(True), parts.dilated.requires_grad_(True)
        self.head = nn.Sequential(
            nn.Conv2d(parts.width, hidden, 3, dilation=dilation, padding="same"),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv2d(hidden, hidden, 1),
            nn.ReLU(),
            nn.Conv2d(hidden, num_labels, 1),
        )
        draw_layers(self.head, generator, gain=math.sqrt(2))
        self.late, self.added = parts.late, branch == "added"
        self.branch: GlobalBranch | None = None
        if branch is not None:
            self.branch = GlobalBranch(parts, num_labels=num_labels, hidden=branch_hidden, dropout=dropout)
            draw_layers(self.branch.head, generator, gain=BRANCH_GAIN)

    def forward(self, images: Tensor) -> Scores:
        """Normalised images (N, 3, 8h, 8w) -> their scores."""
        shared = self.low(images)
        pixels = centred(self.head(self.high(shared)), late=self.late)
        if self.branch is None:
            return Scores(pixels, None)
        image = self.branch(shared)
        return Scores(pixels + image[..., None, None] if self.added else pixels, image)

    def new_parameters(self) -> list[nn.Parameter]:
        """Those of the layers that the backbone does not have."""
        heads = [self.head] if self.branch is None else [self.head, self.branch.head]
        return [parameter for head in heads for parameter in head.parameters()]

    def train(self, mode: bool = True) -> "CosegNetwork":
        """Training mode for all but batch norm, whose statistics stay those of the backbone, as the authors' do."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


class GlobalBranch(nn.Module):
    """Logits (N, L) of the labels that an image shows, from its maps (N, D, h, w) at 1/8."""

    def __init__(self, parts: Parts, *, num_labels: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.layers = parts.strided.requires_grad_(True)
        self.head = branch_head(parts.width, num_labels=num_labels, hidden=hidden, dropout=dropout)

    def forward(self, maps: Tensor) -> Tensor:
        """See the class."""
        return self.head(self.layers(maps).amax(dim=(2, 3)))  # type: ignore[no-any-return]


def branch_head(width: int, *, num_labels: int, hidden: int, dropout: float) -> nn.Sequential:
    """The branch's layers behind the global maximum (N, width) -> (N, L)."""
    return nn.Sequential(
        nn.Linear(width, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, num_labels),
    )


def centred(scores: Tensor, *, late: bool) -> Tensor:
    """Scores (N, L, h, w) moved by half a cell, the mean of neighbours, to stand in the middle of their 8 x 8 px.

    Without it a VGG's stand 4 px behind it, since the fourth pool looks at two cells, and a ResNet's 3.5 px before it,
    since a stride takes the first pixel of each cell; labels and enlarged maps are cells' middles.
    """
    for axis in (-2, -1):
        edge = scores.narrow(axis, 0 if late else -1, 1)
        framed = torch.cat([edge, scores] if late else [scores, edge], dim=axis)
        count = scores.shape[axis]
        scores = (framed.narrow(axis, 0, count) + framed.narrow(axis, 1, count)) / 2
    return scores


class _StridelessPool(nn.Module):
    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation

    def forward(self, maps: Tensor) -> Tensor:
        return strideless_pool(maps, self.dilation)


def take_apart(backbone: Backbone) -> Parts:
    """The parts of a VGG or a ResNet, which is taken over."""
    if isinstance(backbone, ResNet):
        return _resnet_parts(backbone)
    if isinstance(backbone, VGG):
        return _vgg_parts(backbone)
    raise ValueError(f"a VGG or a ResNet is needed, not {type(backbone).__name__}")


def _resnet_parts(backbone: ResNet) -> Parts:
    """Res4 and res5 once as they are and once dilated (see `ResNet.dilate`)."""
    net = backbone.network
    strided = nn.Sequential(copy.deepcopy(net.layer3), copy.deepcopy(net.layer4))
    backbone.dilate()
    low = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool, net.layer1, net.layer2)
    return Parts(low, nn.Sequential(net.layer3, net.layer4), strided, backbone.channels[-1], late=False)


def _vgg_parts(backbone: VGG) -> Parts:
    """Blocks 4 and 5 once with the pool between them and once without its stride, as in `nn.deeplab`.

    The branch does without the fifth pool: a maximum over the image follows.
    """
    strided = copy.deepcopy(nn.Sequential(backbone.layers_of(3), nn.MaxPool2d(2), backbone.layers_of(4)))
    backbone.dilate(4, 2)
    low = nn.Sequential(*(layer for index in range(3) for layer in (backbone.layers_of(index), nn.MaxPool2d(2))))
    dilated = nn.Sequential(backbone.layers_of(3), _StridelessPool(1), backbone.layers_of(4), _StridelessPool(2))
    return Parts(low, dilated, strided, backbone.channels[-1], late=True)
