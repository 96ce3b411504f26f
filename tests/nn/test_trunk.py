from typing import get_args

import pytest
import torch
from torch import nn

from wsss_lightning.errors import InputError
from wsss_lightning.nn.backbones import Backbone
from wsss_lightning.nn.resnet import resnet18
from wsss_lightning.nn.seeds import seeded
from wsss_lightning.nn.trunk import Learning, Trunk, Variant, enlarge, variants
from wsss_lightning.nn.vgg import tiny

IMAGE = (50, 83)


def _backbone(name: str) -> Backbone:
    with seeded(0):
        return resnet18(None) if name == "resnet" else tiny(None, 20)


def _images(size: tuple[int, int] = IMAGE) -> torch.Tensor:
    return torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize("name", ["resnet", "vgg"])
def test_both_maps_have_the_stride_and_the_channels_that_are_told(name: str, stride: int) -> None:
    trunk = Trunk(_backbone(name), stride=stride)
    for scale in (0.5, 1.0, 1.5):
        shallow, deep = trunk.look(_images(), Variant(scale))
        assert shallow.shape == (1, trunk.channels[0], *trunk.grid(IMAGE, scale))
        assert deep.shape == (1, trunk.channels[1], *trunk.grid(IMAGE, scale))


def test_sizes_are_the_nearest_at_which_cells_meet_both_borders() -> None:
    resnet, vgg = Trunk(_backbone("resnet")), Trunk(_backbone("vgg"))
    assert resnet.image_size((321, 350)) == (321, 353)
    assert resnet.image_size((5, 100), 0.5) == (17, 49)
    assert vgg.image_size((128, 100)) == (128, 96)
    assert resnet.grid((321, 321)) == (21, 21) and vgg.grid((128, 96)) == (8, 6)


@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize("name", ["resnet", "vgg"])
def test_the_mirror_variant_is_what_the_mirror_image_gives(name: str, stride: int) -> None:
    trunk = Trunk(_backbone(name), stride=stride)
    for scale in (0.5, 1.0):
        stored = trunk.look(_images(), Variant(scale, mirrored=True))
        augmented = trunk.look(_images().flip(-1), Variant(scale))
        for one, other in zip(stored, augmented, strict=True):
            torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("name", ["resnet", "vgg"])
def test_looked_at_side_by_side_an_image_has_the_maps_that_it_has_alone(name: str, mirror: bool) -> None:
    trunk, shown = Trunk(_backbone(name)), variants((1.0, 0.5), mirror=mirror)
    images = torch.cat([_images(), _images().roll(5, -1)])
    found = dict(trunk.looks(images, shown))
    assert [*found] == shown
    for variant, maps in found.items():
        for one, other in zip(maps, trunk.look(images, variant), strict=True):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", ["resnet", "vgg"])
def test_a_symmetric_network_gives_mirrored_maps_so_that_no_cell_is_shifted(name: str) -> None:
    backbone = _backbone(name)
    for layer in backbone.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data = (layer.weight + layer.weight.flip(-1)) / 2
    for stride in (8, 16):
        trunk = Trunk(_backbone(name), stride=stride)
        trunk.backbone.load_state_dict(backbone.state_dict(), strict=False)
        plain, mirrored = trunk.look(_images(), Variant()), trunk.look(_images(), Variant(mirrored=True))
        for one, other in zip(plain, mirrored, strict=True):
            torch.testing.assert_close(one, other.flip(-1), atol=1e-3, rtol=1e-3)


def test_dilation_keeps_the_values_that_a_resnet_had_at_a_32nd() -> None:
    images = _images((65, 97))
    before = _backbone("resnet").features(images, with_global=False).maps
    for stride in (8, 16):
        shallow, deep = Trunk(_backbone("resnet"), stride=stride)(images)
        step = 16 // stride
        torch.testing.assert_close(shallow[..., ::step, ::step], before[3], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(deep[..., :: 2 * step, :: 2 * step], before[4], atol=1e-4, rtol=1e-4)


def test_enlarging_puts_cells_where_they_looked() -> None:
    ramp = torch.arange(5.0).expand(1, 1, 5, 5)
    corners = enlarge(ramp, (65, 65), corners=True)[0, 0, 0]
    torch.testing.assert_close(corners[::16], torch.arange(5.0))
    covered = enlarge(ramp, (80, 80), corners=False)[0, 0, 0]
    torch.testing.assert_close(covered[23:73:16] + 0.5 / 16, torch.arange(1.0, 5.0))


@pytest.mark.parametrize("learning", get_args(Learning))
@pytest.mark.parametrize("name", ["resnet", "vgg"])
def test_what_learns_gets_gradients_and_batch_norm_stays(name: str, learning: Learning) -> None:
    trunk = Trunk(_backbone(name), learning=learning).train()
    expected = {"frozen": 0, "last": 1, "all": 2}[learning]
    counts = {"frozen": 0, "last": len(list(trunk.learnable())), "all": len(list(trunk.parameters()))}
    assert len(list(trunk.learnable())) == counts[learning]
    assert (counts[learning] > 0) == (expected > 0)
    assert not any(module.training for module in trunk.backbone.modules())
    if expected:
        trunk.look(_images(), Variant())[1].sum().backward()
        assert all(parameter.grad is not None for parameter in trunk.learnable())


def test_the_last_block_alone_learns() -> None:
    trunk = Trunk(_backbone("resnet"), learning="last")
    names = {name for name, parameter in trunk.named_parameters() if parameter.requires_grad}
    assert names and all(name.startswith("backbone.network.layer4") for name in names)


def test_variants_have_names_of_their_own() -> None:
    assert [variant.name for variant in variants([0.5, 1], mirror=True)] == ["0.5", "0.5-mirrored", "1", "1-mirrored"]
    assert variants([1.0], mirror=False) == [Variant()]


def test_other_strides_words_and_backbones_are_refused() -> None:
    with pytest.raises(InputError, match="stride=4"):
        Trunk(_backbone("vgg"), stride=4)
    with pytest.raises(InputError, match="trunk=some"):
        Trunk(_backbone("vgg"), learning="some")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="ResNet or a VGG"):
        Trunk(Backbone())
