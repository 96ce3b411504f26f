import torch

from wsss_lightning.nn.description import build, describe
from wsss_lightning.nn.resnet import resnet18
from wsss_lightning.nn.trunk import Trunk, Variant
from wsss_lightning.nn.trunk_features import trunk_features
from wsss_lightning.nn.vgg import tiny


def test_the_features_are_the_maps_of_the_trunk_and_their_average() -> None:
    images = torch.randn(1, 3, 40, 50, generator=torch.Generator().manual_seed(1))
    features = trunk_features(backbone=resnet18(None)).eval()
    with torch.inference_mode():
        found, (shallow, deep) = features.features(images), features.trunk.look(images, Variant())
    assert found.corners and torch.equal(found.maps[0], torch.cat([shallow, deep], dim=1))
    torch.testing.assert_close(found.pooled, deep.mean(dim=(2, 3)))
    assert features.channels == (found.maps[0].shape[1],) and features.global_size == found.pooled.shape[1]
    assert features.features(images, with_global=False).pooled.shape == (1, 0)


def test_a_description_builds_the_same_network() -> None:
    features = trunk_features(backbone=tiny(None, 20), stride=8)
    again = build(describe(features))
    assert isinstance(again.trunk, Trunk) and again.trunk.stride == 8 and not again.corners
    again.load_state_dict(features.state_dict())
