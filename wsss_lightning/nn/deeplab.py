"""DeepLab (Chen et al., 2015): a classifier turned into a segmenter of output stride 8 (priors sec. 4.2.1).

Layers behind a dropped stride read cells 2 or 4 apart, so that each does what it was trained for. The 2 x 2 pools are
treated alike: DeepLab's own 3 x 3 pools would show the layers behind them other values than the classifier saw.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wsss_lightning.nn.backbones import Backbone
from wsss_lightning.nn.initialisation import copy_layer, label_rows, reduce_classifier
from wsss_lightning.nn.resnet import ResNet
from wsss_lightning.nn.upsampling import Upsampling, upsample
from wsss_lightning.nn.vgg import VGG
from wsss_lightning.ops.resize import resize_maps

STRIDE = 8
# What taps beyond the map read: 0, as in Caffe, or the nearest cell. On small maps most taps of a large field of view
# lie beyond, and with zeros scores are a fraction of what they are meant to be, by place.
Border = Literal["zeros", "replicate"]
_CELL = 32  # px of a cell of VGG's fifth pool, the classifier's output stride


class DeepLab(nn.Module):
    """Coarse label scores of an image and their learned up-sampling to its size; subclasses fill in `coarse_scores`.

    Their last layer is `fc8`.

    `backbone`: taken over; `num_labels`: L; `centre`: px coordinate of the first score; `stride`: px to the next one.
    """

    fc8: nn.Conv2d

    def __init__(self, backbone: nn.Module, *, num_labels: int, centre: float, stride: int = STRIDE) -> None:
        super().__init__()
        self.backbone = backbone
        self.upsampling = Upsampling(num_labels=num_labels, stride=stride, centre=centre)

    def coarse_scores(self, images: Tensor) -> Tensor:
        """(N, 3, 8h, 8w) normalised -> logits (N, L, h, w)."""
        raise NotImplementedError

    def look(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Normalised images (N, 3, H, W) of any size -> logits (N, L, h, w) and the size (H', W') that these stand for.

        It is the images' own, unless they had to be resized to be looked at.
        """
        return self.coarse_scores(whole_cells(images)), (images.shape[-2], images.shape[-1])

    def enlarge(self, coarse: Tensor, size: tuple[int, int]) -> Tensor:
        """Logits (N, L, h, w) of `look` at the size that they stand for, (N, L, H', W')."""
        large: Tensor = self.upsampling(coarse)
        return large[..., : size[0], : size[1]]

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) of any size -> logits (N, L, H, W)."""
        coarse, size = self.look(images)
        return resize_maps(self.enlarge(coarse, size), (images.shape[-2], images.shape[-1]))

    def train(self, mode: bool = True) -> "DeepLab":
        """Training mode for all but the backbone, whose batch norm would follow a single image."""
        super().train(mode)
        self.backbone.eval()
        return self


def _taken_over(backbone: Backbone) -> Backbone:
    backbone.drop_classifier()
    return backbone.requires_grad_(True)


class DeepLabVGG(DeepLab):
    """VGG with the strides of its last two pools dropped and fc6 to fc8 as convolutions over the whole map.

    A score stands half a cell off its 8 x 8 px, since the fourth pool looks at two neighbours; `centre` says so.

    Args:
        backbone: taken over; block 5 is dilated and the classifier dropped.
        fc6_kernel: taps per axis of fc6.
        fc6_dilation: cells of 8 px between them.
        hidden: filters of fc6 and fc7.
        num_labels: L.
        dropout: behind fc6 and fc7.
        border: what taps of fc6 beyond the map read, see `Border`.
    """

    backbone: VGG

    def __init__(
        self,
        backbone: VGG,
        *,
        fc6_kernel: int,
        fc6_dilation: int,
        hidden: int,
        num_labels: int,
        dropout: float,
        border: Border = "zeros",
    ) -> None:
        super().__init__(_taken_over(backbone), num_labels=num_labels, centre=STRIDE - 0.5)
        backbone.dilate(4, 2)
        self.fc6 = nn.Conv2d(
            backbone.channels[-1], hidden, fc6_kernel, dilation=fc6_dilation, padding="same", padding_mode=border
        )
        self.fc7 = nn.Conv2d(hidden, hidden, 1)
        self.fc8 = nn.Conv2d(hidden, num_labels, 1)
        self.dropout = nn.Dropout(dropout)

    @property
    def field_of_view(self) -> int:
        """Edge in px of the field of view as DeepLab counts it, "with zero-padding": 128 and 224 (sec. 4.2.1).

        That is the smallest image in which all taps of fc6 find a cell of the fifth pool, of 32 x 32 px each. The
        3 x 3 convolutions, which look 90 px further to every side, are not counted.
        """
        return (self.fc6.kernel_size[0] - 1) * self.fc6.dilation[0] * STRIDE + _CELL

    def last_map(self, images: Tensor) -> Tensor:
        """The fifth pool's output, (N, 3, 8h, 8w) -> (N, D, h, w)."""
        maps = images
        for block in range(3):
            maps = F.max_pool2d(self.backbone.block(block, maps)[-1], 2)
        maps = strideless_pool(self.backbone.block(3, maps)[-1], 1)
        return strideless_pool(self.backbone.block(4, maps)[-1], 2)

    def coarse_scores(self, images: Tensor) -> Tensor:
        maps = self.dropout(torch.relu(self.fc6(self.last_map(images))))
        maps = self.dropout(torch.relu(self.fc7(maps)))
        return self.fc8(maps)  # type: ignore[no-any-return]


class DeepLabResNet(DeepLab):
    """ResNet with the strides of its last two stages dropped and its linear layer as a convolution.

    Args:
        backbone: taken over; its last two stages are dilated and the classifier dropped.
        kernel: taps per axis of the last layer.
        dilation: cells of 8 px between them.
        num_labels: L.
        border: what taps beyond the map read, see `Border`.
    """

    backbone: ResNet

    def __init__(
        self, backbone: ResNet, *, kernel: int, dilation: int, num_labels: int, border: Border = "zeros"
    ) -> None:
        super().__init__(_taken_over(backbone), num_labels=num_labels, centre=0)
        backbone.dilate()
        width = backbone.channels[-1]
        self.fc8 = nn.Conv2d(width, num_labels, kernel, dilation=dilation, padding="same", padding_mode=border)

    def coarse_scores(self, images: Tensor) -> Tensor:
        return self.fc8(self.backbone.features(images, with_global=False).maps[-1])  # type: ignore[no-any-return]


def deeplab_vgg(
    backbone: VGG,
    *,
    class_names: Sequence[str],
    generator: torch.Generator,
    fc6_kernel: int,
    fc6_dilation: int,
    hidden: int,
    dropout: float,
    border: Border = "zeros",
) -> DeepLabVGG:
    """A segmenter that starts from a VGG's classifier (see `nn.initialisation`), which it takes over.

    Raises:
        InputError: the weights have no fc6 to fc8, or fewer filters or taps than asked for.
    """
    fc6, fc7, fc8 = reduce_classifier(backbone, kernel=fc6_kernel, hidden=hidden)
    rows = label_rows(fc8, class_names=class_names, shared=backbone.shared, generator=generator)
    network = DeepLabVGG(
        backbone,
        fc6_kernel=fc6_kernel,
        fc6_dilation=fc6_dilation,
        hidden=hidden,
        num_labels=len(class_names) + 1,
        dropout=dropout,
        border=border,
    )
    for target, layer in ((network.fc6, fc6), (network.fc7, fc7), (network.fc8, rows)):
        copy_layer(target, layer)
    return network


def deeplab_resnet(
    backbone: ResNet,
    *,
    class_names: Sequence[str],
    generator: torch.Generator,
    kernel: int,
    dilation: int,
    border: Border = "zeros",
) -> DeepLabResNet:
    """A segmenter that starts from a ResNet's classifier, which it takes over.

    The classifier sees the mean of its map; so every tap starts as the classifier's row divided by their number, and
    the last layer as the classifier on the mean of the positions it reads.
    """
    rows, bias = label_rows(backbone.classifier(), class_names=class_names, shared=backbone.shared, generator=generator)
    network = DeepLabResNet(backbone, kernel=kernel, dilation=dilation, num_labels=len(class_names) + 1, border=border)
    copy_layer(network.fc8, ((rows / kernel**2)[:, :, None, None].expand_as(network.fc8.weight), bias))
    return network


def full_logits(stored: dict[str, Tensor], size: tuple[int, int], *, stride: int, centre: float) -> Tensor:
    """Logits (L, *size) float32 of an image of that size, as the network gives them, from those that were stored.

    Args:
        stored: `logits` (L, h, w) at 1/8, `upsampling`, the learned weight, and `input_size` (2,), the height and width
            that the network was shown; where these are not the image's own, logits are resized bilinearly.
        size: H and W of the image.
        stride: of the up-sampling, as `centre`.
        centre: see `Upsampling`.
    """
    height, width = stored["input_size"].tolist()
    with torch.autocast(stored["logits"].device.type, enabled=False):
        large = upsample(stored["logits"].float()[None], stored["upsampling"].float(), stride=stride, centre=centre)
        return resize_maps(large[..., :height, :width], size)[0]


def full_probabilities(stored: dict[str, Tensor], size: tuple[int, int], *, stride: int, centre: float) -> Tensor:
    """Softmax of `full_logits`, (L, *size)."""
    return full_logits(stored, size, stride=stride, centre=centre).softmax(dim=0)


def whole_cells(images: Tensor) -> Tensor:
    """Images (N, 3, H, W) with their last row and column repeated until 8 divides height and width."""
    height, width = images.shape[-2:]
    return F.pad(images, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")


def strideless_pool(maps: Tensor, dilation: int) -> Tensor:
    """Maximum over 2 x 2 cells `dilation` apart at stride 1; after a ReLU, padding with zeros changes no maximum."""
    before = dilation // 2
    framed = F.pad(maps, (before, dilation - before) * 2)
    return F.max_pool2d(framed, 2, stride=1, dilation=dilation)
