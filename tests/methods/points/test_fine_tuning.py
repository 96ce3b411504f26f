import copy

import pytest
import torch
from fake_hypercolumns import two_layers
from torch import Tensor, nn
from torch.nn import functional as F

from wsss_lightning.methods.points.fine_tuning import FineTuningModule
from wsss_lightning.nn.backbones import Backbone
from wsss_lightning.nn.hypercolumns import Standardisation, assemble
from wsss_lightning.nn.resnet import resnet18
from wsss_lightning.nn.vgg import tiny
from wsss_lightning.ops.resize import resize_maps

GRID = (24, 24)
LOCATIONS = [torch.tensor([0, 17, 255]), torch.tensor([3, 100])]


def network(backbone: Backbone, *, global_features: bool = True) -> FineTuningModule:
    features = sum(backbone.channels)
    return FineTuningModule(
        class_names=("cat", "dog"),
        backbone=backbone,
        grid=GRID,
        statistics=Standardisation(torch.rand(features), 1 + torch.rand(features)),
        global_features=global_features,
        hidden=8,
        rate=1e-3,
    ).train()


def images() -> Tensor:
    return torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("global_features", [True, False])
def test_logits_are_those_of_the_textbook_hypercolumns(global_features: bool) -> None:
    torch.manual_seed(0)
    trained = network(tiny(None, 20), global_features=global_features)
    given = trained.backbone.features(images(), with_global=True)
    columns = assemble([resize_maps(m, GRID) for m in given.maps], GRID).flatten(2)
    expected = [
        trained.classifier(columns[i][:, chosen].T, given.pooled[i].expand(len(chosen), -1))
        for i, chosen in enumerate(LOCATIONS)
    ]
    torch.testing.assert_close(trained.logits_at(images(), LOCATIONS), torch.cat(expected), atol=1e-5, rtol=1e-4)


def test_gradients_reach_the_first_convolution_and_the_classifier() -> None:
    torch.manual_seed(0)
    trained = network(tiny(None, 20))
    F.cross_entropy(trained.logits_at(images(), LOCATIONS), torch.tensor([0, 1, 2, 0, 1])).backward()
    assert isinstance(trained.backbone.convolutions, nn.ModuleList)
    for weight in (trained.backbone.convolutions[0].weight, trained.classifier.local.weight):
        assert isinstance(weight, Tensor) and weight.grad is not None and bool(weight.grad.abs().sum() > 0)


def test_batch_norm_keeps_its_statistics() -> None:
    torch.manual_seed(0)
    trained = network(resnet18(None))
    before = {name: value.clone() for name, value in trained.backbone.named_buffers()}
    trained.logits_at(images(), LOCATIONS)
    assert trained.training and trained.classifier.training
    assert all(torch.equal(value, before[name]) for name, value in trained.backbone.named_buffers())


def test_shares_of_images_with_different_numbers_of_points_have_the_gradient_of_all() -> None:
    """Three and two points of two images, each on a device of its own."""
    whole = network(two_layers())
    shared = copy.deepcopy(whole)
    labels = [torch.tensor([0, 1, 2]), torch.tensor([2, 1])]
    batch = {"image": images(), "locations": LOCATIONS, "labels": labels}
    whole.loss(batch).backward()
    for part, points in enumerate((3, 2)):
        own = {name: value[part : part + 1] for name, value in batch.items()}
        (shared.loss(own) * (points * 2 / 5) / 2).backward()
    for one, other in zip(whole.parameters(), shared.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=0, atol=1e-6)


def test_new_layers_learn_faster() -> None:
    trained = network(tiny(None, 20))
    trained.new_layers = 10.0
    first, second = trained.configure_optimizers()["optimizer"].param_groups
    assert second["lr"] == pytest.approx(10 * first["lr"])
    assert {id(p) for p in second["params"]} == {id(p) for p in trained.classifier.parameters()}
