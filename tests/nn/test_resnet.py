from pathlib import Path

import pytest
import torch
from torchvision.models import resnet18 as torchvision_resnet18

from wsss_lightning.errors import InputError
from wsss_lightning.nn.resnet import resnet18, resnet50


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.save(torchvision_resnet18().state_dict(), tmp_path / "resnet18.pth")
    return tmp_path / "resnet18.pth"


def test_five_maps_and_the_pooled_last_stage(weights: Path) -> None:
    network = resnet18(str(weights))
    image = torch.randn(1, 3, 64, 96)
    features = network.features(image)
    assert [tuple(m.shape[1:]) for m in features.maps] == [
        (64, 16, 24),
        (64, 16, 24),
        (128, 8, 12),
        (256, 4, 6),
        (512, 2, 3),
    ]
    torch.testing.assert_close(network.network.fc(features.pooled), network(image))


def test_channels_of_a_bottleneck_network() -> None:
    network = resnet50(None)
    assert network.channels == (64, 256, 512, 1024, 2048)
    assert network.global_size == 2048


def test_weights_of_another_depth(weights: Path) -> None:
    with pytest.raises(InputError, match=r"resnet18\.pth does not fit ResNet"):
        resnet50(str(weights))
