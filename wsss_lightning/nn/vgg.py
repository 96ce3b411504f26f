"""VGG with 13 convolutions in 5 blocks and fc6-fc8 as convolutions: VGG-16 itself and the narrow `tiny`."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.models import VGG16_Weights

from wsss_lightning.nn.backbones import Backbone, Features, freeze, read_state
from wsss_lightning.nn.description import described
from wsss_lightning.nn.shared_classes import PICTURES
from wsss_lightning.nn.states import UNTRAINED, load_weights

SMALLEST = {"vgg16": 224, "tiny": 96}  # px a side for fc6 to fit on the last map; a plan reads it (pipeline.calls)
_CONVOLUTIONS = (2, 2, 3, 3, 3)  # per block, configuration D of Simonyan and Zisserman
TINY_MEAN, TINY_STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)  # the generated pictures' colours are spread evenly
# The position of each convolution and linear layer in torchvision's vgg16.
_TORCHVISION = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
_CAFFE = "IMAGENET1K_FEATURES"  # the authors' Caffe convolutions; its fc layers are NaN


class VGG(Backbone):
    """Plain VGG; fc6 to fc8 slide over the last map, so any input size from 32 x fc6's kernel on will do.

    `widths`: channels of the five blocks; `fc6_kernel` and `padding`: of fc6 on the last pooled map;
    `hidden`: units of fc6 and fc7; `normalise`: batch norm after each convolution, for training from scratch
    (`fold_batch_norm` removes it).
    """

    def __init__(
        self, *, widths: Sequence[int], fc6_kernel: int, hidden: int, num_classes: int, normalise: bool = False
    ) -> None:
        super().__init__()
        outputs = [width for width, count in zip(widths, _CONVOLUTIONS, strict=True) for _ in range(count)]
        inputs = [3, *outputs[:-1]]
        self.convolutions = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1) for i, o in zip(inputs, outputs, strict=True))
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) if normalise else nn.Identity() for width in outputs)
        self.fc6 = nn.Conv2d(widths[-1], hidden, fc6_kernel)
        self.fc7 = nn.Conv2d(hidden, hidden, 1)
        self.fc8 = nn.Conv2d(hidden, num_classes, 1)
        self.channels = tuple(outputs)
        self.global_size = hidden

    def block(self, index: int, maps: Tensor) -> list[Tensor]:
        """What the convolutions of block `index` (0..4) give after ReLU, before the pool, from the `maps` it reads."""
        outputs = []
        for convolution, norm in zip(self.convolutions[_span(index)], self.norms[_span(index)], strict=True):
            maps = torch.relu(norm(convolution(maps)))
            outputs.append(maps)
        return outputs

    def layers_of(self, index: int) -> nn.Sequential:
        """Block `index` (0..4) without the pool behind it, as a module that shares its weights."""
        pairs = zip(self.convolutions[_span(index)], self.norms[_span(index)], strict=True)
        return nn.Sequential(*(layer for pair in pairs for layer in (*pair, nn.ReLU())))

    def blocks(self, images: Tensor) -> list[list[Tensor]]:
        outputs = [self.block(0, images)]
        for index in range(1, len(_CONVOLUTIONS)):
            outputs.append(self.block(index, nn.functional.max_pool2d(outputs[-1][-1], 2)))
        return outputs

    def layers(self, images: Tensor) -> list[Tensor]:
        """Outputs of the 13 convolutions after ReLU, pooled where a pool follows (points sec. 4.1)."""
        maps: list[Tensor] = []
        current = images
        for index in range(len(_CONVOLUTIONS)):
            maps += self.block(index, current)
            maps[-1] = current = nn.functional.max_pool2d(maps[-1], 2)
        return maps

    def dilate(self, index: int, dilation: int) -> None:
        """Let a block's convolutions read cells `dilation` apart; maps keep their size."""
        for convolution in self.convolutions[_span(index)]:
            assert isinstance(convolution, nn.Conv2d)
            convolution.dilation = convolution.padding = (dilation, dilation)

    def drop_classifier(self) -> None:
        del self.fc6, self.fc7, self.fc8

    def fc7_map(self, last: Tensor) -> Tensor:
        """fc7 after ReLU at every position of fc6 on the last map: (N, G, h, w)."""
        return torch.relu(self.fc7(torch.relu(self.fc6(last))))

    def features(self, images: Tensor, *, with_global: bool = True) -> Features:
        maps = self.layers(images)
        pooled = self.fc7_map(maps[-1]).mean(dim=(2, 3)) if with_global else images.new_zeros(len(images), 0)
        return Features(maps=maps, pooled=pooled)

    def forward(self, images: Tensor) -> Tensor:
        """Class logits (N, num_classes), averaged over the positions of fc8."""
        logits: Tensor = self.fc8(self.fc7_map(self.layers(images)[-1]))
        return logits.mean(dim=(2, 3))


def _span(block: int) -> slice:
    start = sum(_CONVOLUTIONS[:block])
    return slice(start, start + _CONVOLUTIONS[block])


@described
def vgg16(weights: str | None) -> VGG:
    """VGG-16. `weights`: a path, `IMAGENET1K_V1`, `IMAGENET1K_FEATURES` (no fc6-fc8) or None (random, for timing)."""
    network = VGG(widths=(64, 128, 256, 512, 512), fc6_kernel=7, hidden=4096, num_classes=1000)
    if weights is not None:
        state = from_torchvision(read_state(weights, VGG16_Weights))
        load_weights(network, state, source=weights, may_be_nan=UNTRAINED)
        network.has_global = bool(torch.isfinite(network.fc6.weight).all())
    if weights == _CAFFE:
        transforms = VGG16_Weights.IMAGENET1K_FEATURES.transforms()
        network.mean, network.std = tuple(transforms.mean), tuple(transforms.std)
    freeze(network)
    return network


@described
def tiny(weights: str | None, num_classes: int) -> VGG:
    """The narrow VGG whose weights ship with the package (docs/tiny.md); None: random weights."""
    network = VGG(widths=(16, 32, 64, 96, 96), fc6_kernel=3, hidden=128, num_classes=num_classes)
    network.mean, network.std, network.shared = TINY_MEAN, TINY_STD, PICTURES
    if weights is not None:
        load_weights(network, read_state(weights, VGG16_Weights), source=weights)
    freeze(network)
    return network


def from_torchvision(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """torchvision's vgg16 keys -> ours; linear layers become convolutions of the same numbers."""
    if "convolutions.0.weight" in state:
        return state
    names = {f"features.{position}": f"convolutions.{index}" for index, position in enumerate(_TORCHVISION)}
    names |= {"classifier.0": "fc6", "classifier.3": "fc7", "classifier.6": "fc8"}
    renamed = {}
    for key, value in state.items():
        layer, _, kind = key.rpartition(".")
        name = names.get(layer, layer)
        renamed[f"{name}.{kind}"] = _as_convolution(value, name) if kind == "weight" else value
    return renamed


def _as_convolution(weight: Tensor, layer: str) -> Tensor:
    """A linear layer's weights (N, D) as those of a convolution; of another size they stay, to be refused by name."""
    shape = {"fc6": (512, 7, 7), "fc7": (4096, 1, 1), "fc8": (4096, 1, 1)}.get(layer)
    fits = shape is not None and weight.ndim == 2 and weight.shape[1] == math.prod(shape)
    return weight.reshape(-1, *shape) if shape is not None and fits else weight


def fold_batch_norm(network: VGG) -> VGG:
    """The same function without batch norm: scale and shift go into the convolutions (evaluation mode)."""
    plain = VGG(
        widths=[network.channels[_span(block).start] for block in range(len(_CONVOLUTIONS))],
        fc6_kernel=network.fc6.kernel_size[0],
        hidden=network.global_size,
        num_classes=network.fc8.out_channels,
    )
    pairs = zip(network.convolutions, network.norms, strict=True)
    folded = [nn.utils.fuse_conv_bn_eval(c.eval(), n.eval()) for c, n in pairs]  # type: ignore[type-var, arg-type]
    plain.convolutions = nn.ModuleList(folded)
    for name in ("fc6", "fc7", "fc8"):
        getattr(plain, name).load_state_dict(getattr(network, name).state_dict())
    freeze(plain)
    return plain
