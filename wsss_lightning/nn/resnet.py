"""ResNets as backbones: stem and four stage outputs."""

from itertools import accumulate

from torch import Tensor, nn
from torchvision.models import ResNet18_Weights, ResNet50_Weights
from torchvision.models import resnet18 as torchvision_resnet18
from torchvision.models import resnet50 as torchvision_resnet50
from torchvision.models._api import WeightsEnum
from torchvision.models.resnet import ResNet as TorchvisionResNet

from wsss_lightning.errors import InputError
from wsss_lightning.nn.backbones import Backbone, Features, freeze, read_state
from wsss_lightning.nn.description import described
from wsss_lightning.nn.key_maps import rename_keys
from wsss_lightning.nn.states import load_weights


class ResNet(Backbone):
    """Five maps: the stem after its pool and the four stages; the global vector is the pooled last stage.

    The papers use VGG-16; the last stage's average stands for fc7. Batch norm stays in evaluation mode.
    `has_classifier`: whether the weights have the linear layer, which those of a segmenter lack.
    """

    has_classifier: bool = True
    on_corners = True

    def __init__(self, network: TorchvisionResNet) -> None:
        super().__init__()
        self.network = network
        stages = (network.layer1, network.layer2, network.layer3, network.layer4)
        self.channels = (network.conv1.out_channels, *(_width(stage) for stage in stages))
        self.global_size = self.channels[-1]

    def features(self, images: Tensor, *, with_global: bool = True) -> Features:
        net = self.network
        maps = [net.maxpool(net.relu(net.bn1(net.conv1(images))))]
        for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
            maps.append(stage(maps[-1]))
        pooled = maps[-1].mean(dim=(2, 3)) if with_global else images.new_zeros(len(images), 0)
        return Features(maps=maps, pooled=pooled)

    def blocks(self, images: Tensor) -> list[list[Tensor]]:
        net = self.network
        stem = net.relu(net.bn1(net.conv1(images)))
        outputs, current = [[stem]], net.maxpool(stem)
        for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
            outputs.append(list(accumulate(stage, lambda maps, unit: unit(maps), initial=current))[1:])
            current = outputs[-1][-1]
        return outputs

    def dilate(self, stride: int = 8) -> None:
        """Bring the last two stages to 1/8 of the input, or to 1/16; a position at 1/32 keeps the value it had."""
        if stride == 8:
            _dilate(self.network.layer3, 1)
        _dilate(self.network.layer4, 16 // stride)

    def drop_classifier(self) -> None:
        del self.network.fc

    def classifier(self) -> tuple[Tensor, Tensor]:
        """Weight (R, D) and bias (R,) of the linear layer.

        Raises:
            InputError: the weights have none.
        """
        if not self.has_classifier:
            raise InputError(
                "These weights have no classifier (fc) to start from: take those of a classifier, or heads that are "
                "drawn (start=drawn, as in ablation=cam/plain; ablation=priors/frozen)."
            )
        return self.network.fc.weight, self.network.fc.bias

    def forward(self, images: Tensor) -> Tensor:
        """Class logits (N, 1000)."""
        return self.network(images)  # type: ignore[no-any-return]


@described
def resnet18(weights: str | None) -> ResNet:
    """ResNet-18. `weights`: a path to torchvision's state dict, `IMAGENET1K_V1`, or None (random)."""
    return _build(torchvision_resnet18(), weights, ResNet18_Weights)


@described
def resnet50(weights: str | None) -> ResNet:
    """ResNet-50. `weights`: a path to torchvision's state dict, `IMAGENET1K_V1`, `IMAGENET1K_V2` or None (random)."""
    return _build(torchvision_resnet50(), weights, ResNet50_Weights)


def _build(network: TorchvisionResNet, weights: str | None, published: type[WeightsEnum]) -> ResNet:
    backbone = ResNet(network)
    if weights is not None:
        state = rename_keys(read_state(weights, published), network)
        backbone.has_classifier = any(key.startswith("fc.") for key in state)
        drawn = {} if backbone.has_classifier else network.fc.state_dict(prefix="fc.")
        load_weights(network, state | drawn, source=weights)
    freeze(backbone)
    return backbone


def _dilate(stage: nn.Module, before: int) -> None:
    """Take a stage's stride away: what had it still reads cells `before` apart, all behind it twice as far apart."""
    for convolution in (module for module in stage.modules() if isinstance(module, nn.Conv2d)):
        dilation = before if convolution.stride == (2, 2) else 2 * before
        convolution.stride = (1, 1)
        if convolution.kernel_size == (3, 3):
            convolution.dilation = convolution.padding = (dilation, dilation)


def _width(stage: object) -> int:
    block = list(stage)[-1]  # type: ignore[call-overload]
    last = block.conv3 if hasattr(block, "conv3") else block.conv2
    return int(last.out_channels)
