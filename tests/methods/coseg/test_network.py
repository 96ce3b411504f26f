from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.models.resnet import ResNet as TorchvisionResNet

from wsss_lightning.methods.coseg.network import CosegNetwork, centred, take_apart
from wsss_lightning.nn.backbones import Backbone
from wsss_lightning.nn.resnet import ResNet, resnet50
from wsss_lightning.nn.vgg import VGG, tiny

LABELS = 4


def vgg() -> VGG:
    torch.manual_seed(0)
    network = VGG(widths=(8,) * 5, fc6_kernel=3, hidden=8, num_classes=5)
    for layer in network.convolutions:
        nn.init.kaiming_normal_(layer.weight)  # keeps activations as large as the image
    return network.eval()


def basic() -> ResNet:
    torch.manual_seed(0)
    return ResNet(TorchvisionResNet(BasicBlock, [1, 1, 2, 2])).eval()


def bottleneck() -> ResNet:
    torch.manual_seed(0)
    return ResNet(TorchvisionResNet(Bottleneck, [1, 1, 2, 2], width_per_group=4)).eval()


BACKBONES = [vgg, basic, bottleneck]


def network(backbone: Backbone, branch: str | None = None, **settings: Any) -> CosegNetwork:
    sizes = {"hidden": 24, "dilation": 2, "dropout": 0.5, "branch_hidden": 20, "num_labels": LABELS} | settings
    generator = torch.Generator().manual_seed(0)
    return CosegNetwork(backbone, branch=branch, generator=generator, **sizes).eval()


def images(*size: int) -> Tensor:
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("make", BACKBONES)
@pytest.mark.parametrize("branch", [None, "apart", "added"])
def test_scores_stand_at_an_eighth(make: Callable[[], Backbone], branch: str | None) -> None:
    scores = network(make(), branch)(images(48, 64))
    assert scores.pixels.shape == (2, LABELS, 6, 8)
    assert scores.image is None if branch is None else scores.image.shape == (2, LABELS)


@pytest.mark.parametrize("make", BACKBONES)
def test_the_parts_are_the_backbone_at_its_own_and_at_an_eighth(make: Callable[[], Backbone]) -> None:
    """Every second or fourth position of what is dilated is what the backbone sees at 1/16 or 1/32."""
    whole, parts = make(), take_apart(make())
    assert parts.width == whole.channels[-1]
    with torch.inference_mode():
        shown = images(64, 96)
        expected = whole.blocks(shown)[-1][-1]
        shared = parts.low(shown)
        strided, dilated = parts.strided(shared), parts.dilated(shared)
    torch.testing.assert_close(strided, expected)
    assert shared.shape[-2:] == dilated.shape[-2:] == (8, 12)
    first = 0
    if isinstance(whole, VGG):  # the dilated part ends in the fifth pool, which looks at the cells before and behind
        expected, first = F.max_pool2d(expected, 2), 1
    torch.testing.assert_close(dilated[..., first::4, first::4], expected)


def test_added_scores_are_those_of_the_pixels_plus_the_images() -> None:
    apart, added = network(vgg(), "apart"), network(vgg(), "added")
    plain, summed = apart(images(32, 40)), added(images(32, 40))
    assert plain.image is not None and summed.image is not None
    torch.testing.assert_close(plain.image, summed.image)
    torch.testing.assert_close(plain.pixels + plain.image[..., None, None], summed.pixels)


@pytest.mark.parametrize("make", BACKBONES)
def test_low_layers_are_shared_and_high_ones_are_not(make: Callable[[], Backbone]) -> None:
    made = network(make(), "apart")

    def touched(loss: Callable[[], Tensor]) -> set[str]:
        made.zero_grad()
        loss().backward()
        return {n.split(".")[0] for n, p in made.named_parameters() if p.grad is not None and p.grad.any()}

    assert touched(lambda: made(images(32, 32)).pixels.square().sum()) == {"low", "high", "head"}
    assert touched(lambda: made(images(32, 32)).image.square().sum()) == {"low", "branch"}


def test_the_branch_takes_the_highest_value_of_the_image() -> None:
    made = network(vgg(), "apart")
    assert made.branch is not None
    maps = images(4, 4)[:, :1].expand(-1, 8, -1, -1)
    high = made.branch.layers(maps).amax(dim=(2, 3))
    torch.testing.assert_close(made.branch(maps), made.branch.head(high))
    linear = [layer for layer in made.branch.head if isinstance(layer, nn.Linear)]
    assert [layer.out_features for layer in linear] == [20, 20, LABELS]


def test_sizes_of_the_authors_code() -> None:
    sizes = {"hidden": 512, "dilation": 12, "branch_hidden": 1024, "num_labels": 21}
    made = network(resnet50(None), "added", **sizes)
    first, second, last = (layer for layer in made.head if isinstance(layer, nn.Conv2d))
    assert (first.kernel_size, first.dilation, first.in_channels, first.out_channels) == ((3, 3), (12, 12), 2048, 512)
    assert [layer.kernel_size for layer in (second, last)] == [(1, 1)] * 2 and last.out_channels == 21
    assert sum(isinstance(layer, nn.Dropout) for layer in made.head) == 1
    strides = {m.stride for m in made.high.modules() if isinstance(m, nn.Conv2d)}
    dilations = {m.dilation for m in made.high.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)}
    assert strides == {(1, 1)} and dilations == {(1, 1), (2, 2), (4, 4)}
    assert {m.stride for m in made.branch.layers.modules() if isinstance(m, nn.Conv2d)} == {(1, 1), (2, 2)}


def test_everything_trains_and_batch_norm_keeps_its_statistics() -> None:
    made = network(basic(), "added").train()
    assert all(parameter.requires_grad for parameter in made.parameters())
    norms = [module for module in made.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [norm.running_mean.clone() for norm in norms]
    made(images(32, 32))
    assert norms and all(torch.equal(norm.running_mean, mean) for norm, mean in zip(norms, before, strict=True))
    assert made.head[2].training


def test_new_layers_are_drawn_from_the_generator() -> None:
    first, again = network(vgg(), "added"), network(vgg(), "added")
    for (name, one), other in zip(first.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other), name
    assert first(images(32, 32)).pixels.abs().max() < 1, "scores are even at first"


def test_what_the_branch_copies_starts_as_the_segmenters_own() -> None:
    made = network(tiny(None, 5), "apart")
    high = [m.weight for m in made.high.modules() if isinstance(m, nn.Conv2d)]
    own = [m.weight for m in made.branch.layers.modules() if isinstance(m, nn.Conv2d)]
    assert len(high) == len(own) == 6
    assert all(torch.equal(a, b) and a.data_ptr() != b.data_ptr() for a, b in zip(high, own, strict=True))


def test_other_backbones_are_refused() -> None:
    with pytest.raises(ValueError, match="a VGG or a ResNet is needed, not Backbone"):
        partial(take_apart, Backbone())()


@pytest.mark.parametrize("late", [True, False])
def test_scores_are_moved_by_half_a_cell(late: bool) -> None:
    rows = torch.arange(6.0).view(1, 1, 6, 1).expand(1, 1, 6, 4)
    moved = centred(rows, late=late)[0, 0, :, 0]
    assert moved.tolist() == ([0.0, 0.5, 1.5, 2.5, 3.5, 4.5] if late else [0.5, 1.5, 2.5, 3.5, 4.5, 5.0])
    columns = rows.transpose(2, 3)
    torch.testing.assert_close(centred(columns, late=late), centred(rows, late=late).transpose(2, 3))


@pytest.mark.parametrize("make", BACKBONES)
def test_a_vggs_scores_stand_behind_their_cells_and_a_resnets_before_them(make: Callable[[], Backbone]) -> None:
    made = network(make())
    with torch.inference_mode():
        raw = made.head(made.high(made.low(images(32, 40))))
        torch.testing.assert_close(made(images(32, 40)).pixels, centred(raw, late=isinstance(make(), VGG)))
