from collections.abc import Callable

import pytest
import torch
from torch import nn
from torchvision.models.resnet import Bottleneck
from torchvision.models.resnet import ResNet as TorchvisionResNet

from wsss_lightning.methods.priors.localization_network import (
    LocalizationNetwork,
    localization_resnet,
    localization_vgg,
)
from wsss_lightning.methods.priors.priors import class_activation_maps
from wsss_lightning.nn.resnet import ResNet
from wsss_lightning.nn.vgg import VGG

CLASSES, HIDDEN = 3, 12
WIDTHS = (64, 128, 256, 512, 512)  # of VGG-16


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def backbone() -> VGG:
    torch.manual_seed(0)
    network = VGG(widths=(8,) * 5, fc6_kernel=3, hidden=HIDDEN, num_classes=7)
    for layer in network.convolutions:
        nn.init.kaiming_normal_(layer.weight)  # keeps activations as large as the image
        nn.init.constant_(layer.bias, 0.1)
    return network.eval().requires_grad_(False)


def plain(seed: int = 0, *, kernel: int = 3) -> LocalizationNetwork:
    return localization_vgg(
        backbone(), num_classes=CLASSES, generator=seeded(seed), kernel=kernel, hidden=HIDDEN
    ).eval()


def residual(seed: int = 0) -> LocalizationNetwork:
    torch.manual_seed(0)
    classifier = ResNet(TorchvisionResNet(Bottleneck, [1, 1, 2, 2], width_per_group=4)).eval()
    return localization_resnet(classifier, num_classes=CLASSES, generator=seeded(seed)).eval()


Make = Callable[..., LocalizationNetwork]
both = pytest.mark.parametrize("make", [plain, residual])


@both
def test_a_score_is_the_mean_of_its_map_and_a_bias(make: Make) -> None:
    """Sec. 3.1.2: S_c = sum_k w_kc F_k is the pooled M_c of eq 1; the linear layer adds b_c."""
    network, images = make(), torch.randn(2, 3, 64, 96)
    nn.init.normal_(network.scores.bias)
    cams = class_activation_maps(network.features(images), network.weights)
    torch.testing.assert_close(network(images), cams.mean(dim=(2, 3)) + network.scores.bias)


@both
@pytest.mark.parametrize("size", [(64, 64), (75, 130)])
def test_scores_of_images_of_any_size(make: Make, size: tuple[int, int]) -> None:
    assert make()(torch.randn(2, 3, *size)).shape == (2, CLASSES)


def test_maps_of_the_papers_network() -> None:
    """14 x 14 for 224 x 224 px, since the fifth pool is gone; fc6 and fc7 are two convolutions of 1,024 filters."""
    with torch.device("meta"):
        vgg = VGG(widths=WIDTHS, fc6_kernel=7, hidden=4096, num_classes=1000)
        convolutions = nn.Sequential(nn.Conv2d(512, 1024, 3, padding="same"), nn.Conv2d(1024, 1024, 3, padding="same"))
        network = LocalizationNetwork(vgg, convolutions=convolutions, width=1024, num_classes=20)
        images = torch.empty(1, 3, 224, 224)
        assert network.features(images).shape == (1, 1024, 14, 14)
        assert network(images).shape == (1, 20)


def test_maps_are_as_fine_as_the_backbones_last() -> None:
    images = torch.randn(1, 3, 64, 96)
    assert plain().features(images).shape == (1, HIDDEN, 4, 6)
    assert plain(kernel=5).features(images).shape == (1, HIDDEN, 4, 6)
    assert residual().features(images).shape[2:] == (2, 3)


def test_features_start_from_the_backbones_last_map() -> None:
    """Only fc6 and fc7 are new (sec. 4.2.2)."""
    images, network = torch.randn(1, 3, 64, 64), plain()
    last = backbone().blocks(images)[-1][-1]
    torch.testing.assert_close(network.features(images), network.convolutions(last))
    assert torch.equal(residual().features(images), residual().backbone.blocks(images)[-1][-1])


@torch.no_grad()
def test_random_layers_keep_the_scale_of_activations() -> None:
    images = torch.randn(4, 3, 96, 96)
    network = localization_vgg(backbone(), num_classes=CLASSES, generator=seeded(), kernel=3, hidden=256).eval()
    before, after = network.backbone.blocks(images)[-1][-1], network.features(images)
    assert 0.3 < float(after.square().mean() / before.square().mean()) < 3


@both
def test_training_starts_from_even_scores(make: Make) -> None:
    network = make()
    assert network.scores.weight.std() < 0.02 and not network.scores.bias.any()


@both
def test_weights_follow_the_generator(make: Make) -> None:
    first, again, other = make(0), make(0), make(1)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.scores.weight, other.scores.weight)


@both
def test_a_gradient_reaches_every_parameter(make: Make) -> None:
    network = make().train()
    network(torch.randn(2, 3, 64, 64)).square().mean().backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_the_classifier_is_gone() -> None:
    assert not any("fc" in name for name, _ in plain().named_parameters())
    assert not any(name.startswith("backbone.network.fc") for name, _ in residual().named_parameters())


def test_batch_norm_keeps_its_statistics_in_training() -> None:
    network = residual().train()
    before = network.backbone.network.bn1.running_mean.clone()
    network(torch.randn(1, 3, 32, 32) + 5)
    assert network.training and torch.equal(network.backbone.network.bn1.running_mean, before)
