import torch

from wsss_lightning.methods.points.classifier import PointClassifier
from wsss_lightning.nn.hypercolumns import Standardisation, hypercolumns_at

GRID = (6, 8)


def classifier(*, global_size: int) -> PointClassifier:
    torch.manual_seed(0)
    statistics = Standardisation(torch.rand(9), torch.rand(9) + 0.5)
    return PointClassifier(statistics=statistics, global_size=global_size, hidden=11, num_labels=4)


def test_a_whole_image_equals_its_points_one_by_one() -> None:
    maps = [torch.randn(1, 5, *GRID), torch.randn(1, 4, 3, 4)]
    pooled = torch.randn(1, 3)
    network = classifier(global_size=3)
    locations = torch.arange(48)
    rows = network(hypercolumns_at(maps, locations, GRID), pooled.expand(48, -1))
    torch.testing.assert_close(network.on_image(maps, pooled, GRID).flatten(1).T, rows, rtol=1e-4, atol=1e-5)


def test_global_features_shift_every_location_alike() -> None:
    network = classifier(global_size=3)
    maps = [torch.zeros(1, 5, *GRID), torch.zeros(1, 4, 3, 4)]
    logits = network.on_image(maps, torch.ones(1, 3), GRID)
    torch.testing.assert_close(logits, logits[:, :1, :1].expand_as(logits))
    assert not torch.allclose(logits, network.on_image(maps, torch.zeros(1, 3), GRID))


def test_without_global_features_nothing_is_learned_from_them() -> None:
    network = classifier(global_size=0)
    assert not any("whole" in name for name, _ in network.named_parameters())
