"""DeepLab's last layers on the maps of a `Trunk`, which may stay as it is and have its maps stored."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from wsss_lightning.errors import InputError
from wsss_lightning.nn.backbones import Backbone
from wsss_lightning.nn.deeplab import DeepLab
from wsss_lightning.nn.initialisation import copy_layer, draw_layers, label_rows
from wsss_lightning.nn.resnet import ResNet
from wsss_lightning.nn.trunk import Learning, Trunk, Variant

Layer = Literal["shallow", "deep"]


class DeepLabTrunk(DeepLab):
    """fc8 on the deep map of a trunk; or with `hidden` filters fc6, ReLU and fc8, and a 1 x 1 layer on the shallow map.

    Taps beyond the map read the nearest cell: on maps of 20 x 20 cells most taps of a large field of view lie beyond.

    Args:
        trunk: its maps are looked at.
        kernel: taps per axis of the first layer.
        dilation: cells between them.
        hidden: filters of fc6; 0 for fc8 alone.
        num_labels: L.
    """

    backbone: Trunk

    def __init__(self, trunk: Trunk, *, kernel: int, dilation: int, hidden: int, num_labels: int) -> None:
        centre = 0.0 if trunk.corners else (trunk.stride - 1) / 2
        super().__init__(trunk, num_labels=num_labels, centre=centre, stride=trunk.stride)
        shallow, deep = trunk.channels
        first = nn.Conv2d(
            deep, hidden or num_labels, kernel, dilation=dilation, padding="same", padding_mode="replicate"
        )
        self.fc8 = nn.Conv2d(hidden, num_labels, 1) if hidden else first
        self.fc6 = first if hidden else None
        self.detail = nn.Conv2d(shallow, num_labels, 1, bias=False) if hidden else None

    @property
    def layers(self) -> list[Layer]:
        """Which of the trunk's maps are looked at."""
        return ["deep"] if self.detail is None else ["shallow", "deep"]

    def scores(self, maps: dict[str, Tensor]) -> Tensor:
        """Maps (N, D, h, w) by layer -> logits of their cells (N, L, h, w)."""
        if self.fc6 is None or self.detail is None:
            return self.fc8(maps["deep"])  # type: ignore[no-any-return]
        return self.fc8(torch.relu(self.fc6(maps["deep"]))) + self.detail(maps["shallow"])  # type: ignore[no-any-return]

    def look(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        shallow, deep = self.backbone.look(images, Variant())
        return self.scores({"shallow": shallow, "deep": deep}), self.size_of(deep)

    def size_of(self, maps: Tensor) -> tuple[int, int]:
        """The size (H, W) in px of the images that maps (..., h, w) show."""
        lost = self.backbone.stride - 1 if self.backbone.corners else 0  # where cells look at single pixels
        return maps.shape[-2] * self.backbone.stride - lost, maps.shape[-1] * self.backbone.stride - lost


def deeplab_trunk(
    backbone: Backbone,
    *,
    class_names: Sequence[str],
    generator: torch.Generator,
    kernel: int,
    dilation: int,
    stride: int = 16,
    trunk: Learning = "frozen",
    hidden: int = 0,
    centred: bool = False,
) -> DeepLabTrunk:
    """A segmenter on the maps of a backbone, which it takes over; `trunk`: what of it learns.

    fc8 alone starts as a ResNet's classifier on the mean of the places that it reads, its rows `centred` or not (see
    `label_rows`); with `hidden`, layers are drawn, that on the shallow map is 0.

    Raises:
        InputError: fc8 alone on another backbone than a ResNet, whose classifier looks at other maps.
    """
    rows = None if hidden else _rows(backbone, class_names, generator, centred=centred)
    network = DeepLabTrunk(
        Trunk(backbone, stride=stride, learning=trunk),
        kernel=kernel,
        dilation=dilation,
        hidden=hidden,
        num_labels=len(class_names) + 1,
    )
    if rows is not None:
        copy_layer(network.fc8, ((rows[0] / kernel**2)[:, :, None, None].expand_as(network.fc8.weight), rows[1]))
    else:
        assert network.fc6 is not None and network.detail is not None
        draw_layers(nn.Sequential(network.fc6, nn.ReLU(), network.fc8), generator, gain=2**0.5)
        nn.init.zeros_(network.detail.weight)
    return network


def _rows(
    backbone: Backbone, class_names: Sequence[str], generator: torch.Generator, *, centred: bool
) -> tuple[Tensor, Tensor]:
    if not isinstance(backbone, ResNet):
        raise InputError(f"The classifier of {type(backbone).__name__} does not look at its last map: give hidden=256.")
    return label_rows(
        backbone.classifier(), class_names=class_names, shared=backbone.shared, generator=generator, centred=centred
    )
