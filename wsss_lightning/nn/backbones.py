"""What every backbone offers: feature maps layer by layer and one global vector, and how weights are read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torchvision.models._api import WeightsEnum

from wsss_lightning.errors import InputError
from wsss_lightning.nn.shared_classes import ILSVRC
from wsss_lightning.nn.states import read_state_file

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass  # not frozen: Lightning rebuilds what a step returns, field by field
class Features:
    """What a backbone sees in a batch of images.

    `maps`: one (N, D_l, h_l, w_l) tensor per layer, shallow to deep, D = sum of D_l.
    `pooled`: (N, G) global vector (fc7 of a VGG, the last stage of a ResNet), averaged over the image.
    `corners`: see `nn.bilinear`.
    """

    maps: list[Tensor]
    pooled: Tensor
    corners: bool = False

    def of_image(self, index: int) -> "Features":
        """Those of one image of the batch, N = 1."""
        part = slice(index, index + 1)
        return Features(maps=[each[part] for each in self.maps], pooled=self.pooled[part], corners=self.corners)


class Backbone(nn.Module):
    """A classification network as a source of features; subclasses fill in what is not implemented here.

    `mean`, `std`: RGB statistics in [0, 1] that its weights were trained with; `global_size`: G;
    `has_global`: whether the weights have the layers behind the global vector; `shared`: which rows of its classifier
    show a class, by the class's name; `corners`: of its features; `on_corners`: whether cells of its last maps look at
    single pixels, the first and the last of the image included.
    """

    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    channels: tuple[int, ...]
    global_size: int
    has_global: bool = True
    corners: bool = False
    on_corners: bool = False
    shared: Mapping[str, Sequence[int]] = ILSVRC

    def features(self, images: Tensor, *, with_global: bool = True) -> Features:
        """Feature maps of normalised images (N, 3, H, W); `pooled` has no columns unless `with_global`."""
        raise NotImplementedError

    def blocks(self, images: Tensor) -> list[list[Tensor]]:
        """Activations of the five blocks, each (N, D, h, w) after its ReLU and before the pool behind the block.

        Per block all its convolutions' in a VGG; the stem's and all residual units' of the four stages in a ResNet.
        """
        raise NotImplementedError

    def drop_classifier(self) -> None:
        """Remove the layers behind the last map: a network built on the maps has no use for them."""
        raise NotImplementedError

    def require_global(self) -> None:
        """Raise `InputError` where the weights cannot give the global vector."""
        if not self.has_global:
            raise InputError(
                "These weights have no fc6 and fc7: use backbone=vgg16 instead of vgg16_features, or "
                "global_features=false."
            )


def read_state(weights: str, published: type[WeightsEnum]) -> dict[str, Tensor]:
    """The state dict behind `weights`: a path (.pth, .pt, .safetensors) or a name of torchvision's `published`."""
    path = Path(weights)
    if path.is_file():
        return read_state_file(path)
    if weights not in published.__members__:
        names = ", ".join(published.__members__)
        raise InputError(f"There are no weights {weights}: give an existing file or one of {names}.")
    return _download(published[weights])


def _download(weights: WeightsEnum) -> dict[str, Tensor]:
    name = weights.url.rpartition("/")[2]
    place = Path(torch.hub.get_dir()) / "checkpoints" / name
    try:
        state = weights.get_state_dict(progress=False, check_hash=True)
    except OSError as error:
        raise InputError(
            f"The weights {name} could not be downloaded ({error}): put the file at {place}, or give its path as "
            "backbone.weights."
        ) from None
    return cast(dict[str, Tensor], state)


def freeze(network: nn.Module) -> None:
    """Evaluation mode without gradients: the papers' features come from a fixed network."""
    network.eval()
    network.requires_grad_(False)


def check_statistics(backbone: Backbone, mean: Sequence[float], std: Sequence[float]) -> None:
    """Raise `InputError` where images are normalised with other statistics than the weights expect."""
    if tuple(mean) != tuple(backbone.mean) or tuple(std) != tuple(backbone.std):
        raise InputError(
            f"Images are normalised with mean {tuple(mean)} and std {tuple(std)}, but the weights expect "
            f"{tuple(backbone.mean)} and {tuple(backbone.std)}: choose the backbone file made for these weights."
        )
