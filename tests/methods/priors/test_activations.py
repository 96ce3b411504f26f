from collections.abc import Callable

import pytest
import torch
from torch import nn
from torchvision.models.resnet import BasicBlock
from torchvision.models.resnet import ResNet as TorchvisionResNet

from wsss_lightning.errors import InputError
from wsss_lightning.methods.priors.activations import fusion_maps, layer_activations
from wsss_lightning.nn.backbones import Backbone
from wsss_lightning.nn.resnet import ResNet
from wsss_lightning.nn.vgg import VGG


def plain() -> VGG:
    torch.manual_seed(0)
    network = VGG(widths=(4, 5, 6, 7, 8), fc6_kernel=3, hidden=12, num_classes=7)
    for layer in network.convolutions:
        nn.init.kaiming_normal_(layer.weight)
    return network.eval()


def residual() -> ResNet:
    torch.manual_seed(0)
    return ResNet(TorchvisionResNet(BasicBlock, [1, 1, 2, 3])).eval()


def images(height: int = 96, width: int = 64) -> torch.Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "make, fourth, fifth", [(plain, (2, 7, 12, 8), (2, 8, 6, 4)), (residual, (2, 256, 6, 4), (2, 512, 3, 2))]
)
def test_shapes_of_the_fusions_maps(
    make: Callable[[], Backbone], fourth: tuple[int, ...], fifth: tuple[int, ...]
) -> None:
    """1/8 and 1/16 of the image in a VGG, 1/16 and 1/32 in a ResNet."""
    found = fusion_maps(make(), images(), convolution=-1)
    assert [maps.shape for maps in found] == [fourth, fifth]


@pytest.mark.parametrize("convolution, fourth, fifth", [(0, 7, 10), (1, 8, 11), (2, 9, 12), (-1, 9, 12), (-3, 7, 10)])
def test_which_convolution_of_a_vgg(convolution: int, fourth: int, fifth: int) -> None:
    """conv4_1 is the eighth of thirteen convolutions: read with hooks, then ReLU by hand."""
    network, outputs = plain(), {}
    for index, layer in enumerate(network.convolutions):
        layer.register_forward_hook(lambda _, __, output, index=index: outputs.update({index: output}))
    found = fusion_maps(network, images(), convolution=convolution)
    for maps, index in zip(found, (fourth, fifth), strict=True):
        torch.testing.assert_close(maps, outputs[index].clamp_min(0))


@pytest.mark.parametrize("convolution, third, last", [(0, 0, 0), (1, 1, 1), (-1, 1, 2)])
def test_which_unit_of_a_resnet(convolution: int, third: int, last: int) -> None:
    network, outputs = residual(), {}
    for stage in ("layer3", "layer4"):
        for index, unit in enumerate(getattr(network.network, stage)):
            unit.register_forward_hook(lambda _, __, output, key=(stage, index): outputs.update({key: output}))
    fourth, fifth = fusion_maps(network, images(), convolution=convolution)
    torch.testing.assert_close(fourth, outputs["layer3", third])
    torch.testing.assert_close(fifth, outputs["layer4", last])


@pytest.mark.parametrize("make, convolution", [(plain, 3), (plain, -4), (residual, 2), (residual, -3)])
def test_a_convolution_that_is_not_there(make: Callable[[], Backbone], convolution: int) -> None:
    """Both blocks must have it: the residual network's third stage has two units, its fourth three."""
    with pytest.raises(InputError, match=rf"no convolution {convolution}: choose from -[23] to [12]\."):
        fusion_maps(make(), images(), convolution=convolution)


@pytest.mark.parametrize("make", [plain, residual])
def test_five_layers_from_shallow_to_deep(make: Callable[[], Backbone]) -> None:
    network = make()
    layers = layer_activations(network, images())
    sizes = [layer.shape[-1] for layer in layers]
    assert len(layers) == 5 and sizes == sorted(sizes, reverse=True)
    assert all((layer >= 0).all() and layer.any() for layer in layers)
    for layer, maps in zip(layers[3:], fusion_maps(network, images(), convolution=-1), strict=True):
        assert torch.equal(layer, maps)
