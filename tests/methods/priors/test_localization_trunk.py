from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from wsss_lightning.errors import InputError
from wsss_lightning.methods.priors.localization import LocalizationModule
from wsss_lightning.methods.priors.localization_network import localization_resnet
from wsss_lightning.methods.priors.localization_trunk import LocalizationTrunk, localization_trunk
from wsss_lightning.methods.priors.priors import class_activation_maps
from wsss_lightning.nn.resnet import ResNet, resnet18
from wsss_lightning.nn.seeds import seeded
from wsss_lightning.nn.tag_losses import sigmoid_cross_entropy, softmax_cross_entropy
from wsss_lightning.nn.trunk import Variant, enlarge
from wsss_lightning.nn.vgg import tiny

NAMES = ("cat", "person")
SIZE = (49, 65)  # at which a trunk looks at images as they are


def backbone() -> ResNet:
    with seeded(0):
        return resnet18(None)


def network(**settings: Any) -> LocalizationTrunk:
    generator = torch.Generator().manual_seed(0)
    return localization_trunk(backbone(), num_classes=2, generator=generator, **settings).eval()


def module(*, start: str, base: nn.Module | None = None, make: Any = localization_trunk) -> LocalizationModule:
    own = {"loss": softmax_cross_entropy, "rates": [0.1], "steps": [1], "start": start, "class_names": NAMES}
    return LocalizationModule(backbone=base or backbone(), network=make, num_classes=2, **own)  # type: ignore[arg-type]


def images() -> torch.Tensor:
    return torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))


def test_logits_of_stored_averages_are_those_of_images() -> None:
    net = network()
    pooled = net.features(images()).mean(dim=(2, 3))
    torch.testing.assert_close(net.logits({"pooled": pooled}), net.logits({"image": images()}))


def test_maps_of_tags_are_equation_1_where_cells_looked_summed_over_what_was_looked_at() -> None:
    tags = torch.tensor([[True, False], [True, True]])
    batch = {"image": images(), "tags": tags, "size": torch.tensor([SIZE, SIZE])}
    one, both = network(scales=(1.0,), mirror=False), network(scales=(1.0,), mirror=True)
    expected = enlarge(class_activation_maps(one.features(images()), one.weights), SIZE, corners=True)
    for maps, whole, present in zip(one.maps_of_tags(batch), expected, tags, strict=True):
        assert maps.dtype == torch.float16
        torch.testing.assert_close(maps.float(), whole[present], rtol=1e-2, atol=1e-3)
    mirrored = {**batch, "image": images().flip(-1)}
    for maps, others in zip(both.maps_of_tags(batch), both.maps_of_tags(mirrored), strict=True):
        torch.testing.assert_close(maps, others.flip(-1), rtol=1e-2, atol=2e-3)
    stored = [{Variant(): deep} for deep in one.features(images())]
    for maps, read in zip(one.maps_of_tags(batch), one.maps_of_tags({**batch, "deep": stored}), strict=True):
        assert torch.equal(maps, read)


@pytest.mark.parametrize("make", [localization_trunk, localization_resnet])
def test_the_layer_starts_from_the_rows_of_shared_classes_less_the_mean_of_all(make: Any) -> None:
    linear = backbone().network.fc
    scores = module(start="shared_rows", make=make).network.scores
    cats = slice(281, 286)
    torch.testing.assert_close(scores.weight[0], linear.weight[cats].mean(dim=0) - linear.weight.mean(dim=0))
    torch.testing.assert_close(scores.bias[0], linear.bias[cats].mean() - linear.bias.mean())
    assert float(scores.weight[1].std()) == pytest.approx(0.01, rel=0.2) and scores.bias[1] == 0, "person has no row"
    assert float(module(start="drawn", make=make).network.scores.weight[0].std()) == pytest.approx(0.01, rel=0.2)


def test_rows_that_do_not_look_at_the_last_map_are_refused() -> None:
    with pytest.raises(InputError, match=r"does not look at its last map: set start=drawn"):
        module(start="shared_rows", base=tiny(None, 20))


def test_a_frozen_trunk_gives_the_optimiser_its_layer_alone() -> None:
    for trunk, count in (("frozen", 2), ("last", 2 + len(list(backbone().network.layer4.parameters())))):
        made = module(start="drawn", make=partial(localization_trunk, trunk=trunk))
        groups = made.configure_optimizers()["optimizer"].param_groups
        assert sum(len(group["params"]) for group in groups) == count


def test_classes_without_a_row_learn_by_a_sigmoid_apart_from_those_that_compete() -> None:
    logits, tags = torch.randn(5, 2), torch.rand(5, 2) > 0.5
    cat, person = (slice(i, i + 1) for i in range(2))
    expected = softmax_cross_entropy(logits[:, cat], tags[:, cat]) + sigmoid_cross_entropy(
        logits[:, person], tags[:, person]
    )
    torch.testing.assert_close(module(start="shared_rows").tag_loss(logits, tags), expected)
    torch.testing.assert_close(module(start="drawn").tag_loss(logits, tags), softmax_cross_entropy(logits, tags))
