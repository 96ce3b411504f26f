"""What heads look at: the maps of a backbone's last two blocks at one stride, whose weights learn or stay."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wsss_lightning.errors import InputError
from wsss_lightning.nn.backbones import Backbone
from wsss_lightning.nn.prediction import Edges
from wsss_lightning.nn.resnet import ResNet
from wsss_lightning.nn.timm_backbone import TimmBackbone
from wsss_lightning.nn.vgg import VGG

Learning = Literal["frozen", "last", "all"]
PERIOD = 16  # px; sizes of images go by it, whatever the stride
_STRIDES = (8, 16)


@dataclass(frozen=True)
class Variant:
    """How an image is looked at: enlarged by `scale`, mirrored or not."""

    scale: float = 1.0
    mirrored: bool = False

    @property
    def name(self) -> str:
        """Of stored maps."""
        return f"{self.scale:g}-mirrored" if self.mirrored else f"{self.scale:g}"


def variants(scales: Sequence[float], *, mirror: bool) -> list[Variant]:
    """Every scale, and with `mirror` the mirror image of each."""
    return [Variant(float(scale), mirrored) for scale in scales for mirrored in ([False, True] if mirror else [False])]


class Trunk(nn.Module):
    """Images -> maps of the last two blocks, `shallow` and `deep`, both at `stride`; batch norm stays as it is.

    Images are brought to sizes at which the maps of a mirror image are the mirrored maps, and at which `enlarge` puts
    every cell where it looked: a ResNet's cells look at every 16th pixel from the first to the last (sizes 16 k + 1), a
    VGG's cover 16 x 16 pixels each (16 k), those of timm's networks do either.

    Args:
        backbone: taken over; strides are exchanged for dilation, the classifier dropped.
        stride: 16 or 8 px of a cell.
        learning: what learns: nothing ("frozen"), the "last" block, or "all".

    Raises:
        InputError: another stride or word, or a backbone that is neither ResNet nor VGG nor timm's.
    """

    channels: tuple[int, int]
    corners: bool  # cells look at single pixels, the first and the last included

    def __init__(self, backbone: Backbone, *, stride: int = 16, learning: Learning = "frozen") -> None:
        super().__init__()
        if stride not in _STRIDES or learning not in ("frozen", "last", "all"):
            raise InputError(f"stride={stride}, trunk={learning}: choose 16 or 8, and frozen, last or all.")
        if not isinstance(backbone, ResNet | VGG | TimmBackbone):
            raise InputError(f"{type(backbone).__name__} has no maps of two last blocks: take a ResNet or a VGG.")
        self.stride, self.learning = stride, learning
        self.corners = backbone.on_corners
        before = -4 if isinstance(backbone, VGG) else -2  # a VGG's last block has three layers
        self.channels = (backbone.channels[before], backbone.channels[-1])
        backbone.drop_classifier()
        _dilate(backbone, stride)
        backbone.requires_grad_(learning == "all")
        if learning == "last":
            for parameter in _last_parameters(backbone):
                parameter.requires_grad_(True)
        self.backbone = backbone.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised images (N, 3, H, W) of a size of `image_size` -> shallow (N, D, h, w) and deep (N, E, h, w)."""
        images = images.contiguous(memory_format=torch.channels_last)
        if isinstance(self.backbone, ResNet):
            shallow, deep = self.backbone.features(images, with_global=False).maps[-2:]
            return shallow, deep
        if isinstance(self.backbone, TimmBackbone):
            height, width = (-(-edge // self.stride) for edge in images.shape[-2:])
            return self.backbone.last_maps(images, (height, width))
        return self._vgg(images)

    def _vgg(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        for block in range(3):
            maps = F.max_pool2d(self.backbone.block(block, maps)[-1], 2)  # type: ignore[operator]
        shallow = self.backbone.block(3, maps)[-1]  # type: ignore[operator]
        if self.stride == PERIOD:
            shallow = F.max_pool2d(shallow, 2)
            return shallow, self.backbone.block(4, shallow)[-1]  # type: ignore[operator]
        # DeepLab's pool, symmetric: one over 2 x 2 cells would shift the maps of a mirror image.
        return shallow, self.backbone.block(4, F.max_pool2d(shallow, 3, stride=1, padding=1))[-1]  # type: ignore[operator]

    def train(self, mode: bool = True) -> "Trunk":
        """Training mode for nothing: batch norm would follow a few images."""
        super().train(mode)
        self.backbone.eval()
        return self

    def image_size(self, size: tuple[int, int], scale: float = 1.0) -> tuple[int, int]:
        """The size (H, W) nearest to `scale` times `size` that maps can be taken at."""
        return input_size(size, scale, corners=self.corners)

    def grid(self, size: tuple[int, int], scale: float = 1.0) -> tuple[int, int]:
        """Cells (h, w) of the maps of an image of `size`."""
        height, width = (-(-edge // self.stride) for edge in self.image_size(size, scale))
        return height, width

    def look(self, images: Tensor, variant: Variant) -> tuple[Tensor, Tensor]:
        """Maps of images (N, 3, H, W) of any size, as a variant shows them."""
        images = self._scaled(images, variant.scale)
        shallow, deep = self(images.flip(-1) if variant.mirrored else images)
        return shallow, deep

    def looks(self, images: Tensor, shown: Sequence[Variant]) -> Iterator[tuple[Variant, tuple[Tensor, Tensor]]]:
        """What `look` gives in each variant; those of a scale are computed side by side, which is faster."""
        for scale in dict.fromkeys(variant.scale for variant in shown):
            scaled, of_scale = self._scaled(images, scale), [variant for variant in shown if variant.scale == scale]
            shallow, deep = self(torch.cat([scaled.flip(-1) if each.mirrored else scaled for each in of_scale]))
            pairs = zip(shallow.split(len(images)), deep.split(len(images)), strict=True)
            yield from zip(of_scale, pairs, strict=True)

    def deep_looks(self, images: Tensor, shown: Sequence[Variant]) -> list[dict[Variant, Tensor]]:
        """The deep maps (E, h, w) of `looks` by variant, image by image."""
        deep_maps = {variant: deep for variant, (_, deep) in self.looks(images, shown)}
        return [{variant: maps[index] for variant, maps in deep_maps.items()} for index in range(len(images))]

    def _scaled(self, images: Tensor, scale: float) -> Tensor:
        size = self.image_size((images.shape[-2], images.shape[-1]), scale)
        if size == tuple(images.shape[-2:]):
            return images
        return F.interpolate(images, size, mode="bilinear", antialias=True)

    def enlarge(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        """Maps or scores (N, K, h, w) -> (N, K, *size), bilinear, every cell where it looked."""
        return enlarge(maps, size, corners=self.corners)

    def learnable(self) -> Iterator[nn.Parameter]:
        """What `learning` leaves to be trained."""
        return (parameter for parameter in self.parameters() if parameter.requires_grad)


def input_size(size: tuple[int, int], scale: float = 1.0, *, corners: bool) -> tuple[int, int]:
    """See `Trunk.image_size`."""
    return Edges(PERIOD, int(corners)).nearest((scale * size[0], scale * size[1]))


def enlarge(maps: Tensor, size: tuple[int, int], *, corners: bool) -> Tensor:
    """Maps (N, K, h, w) -> (N, K, *size), bilinear; `corners`: see `Trunk`."""
    return F.interpolate(maps, size, mode="bilinear", align_corners=corners)


def _last_parameters(backbone: ResNet | VGG | TimmBackbone) -> Iterable[nn.Parameter]:
    if isinstance(backbone, TimmBackbone):
        return backbone.last_parameters()
    return (backbone.network.layer4 if isinstance(backbone, ResNet) else backbone.layers_of(4)).parameters()


def _dilate(backbone: ResNet | VGG | TimmBackbone, stride: int) -> None:
    if not isinstance(backbone, VGG):
        backbone.dilate(stride)
    elif stride < PERIOD:
        backbone.dilate(4, 2)
