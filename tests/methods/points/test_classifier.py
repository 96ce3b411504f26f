import pytest
import torch
from fake_hypercolumns import CLASSES, GRID, features, pictures, two_layers
from torch.nn import functional as F

from wsss_lightning.errors import InputError
from wsss_lightning.methods.points.classifier import PointClassifier, PointClassifierModule, label_probabilities
from wsss_lightning.nn.backbones import Features
from wsss_lightning.nn.hypercolumns import Standardisation, hypercolumns_at


def classifier(*, global_size: int) -> PointClassifier:
    torch.manual_seed(0)
    statistics = Standardisation(torch.rand(9), torch.rand(9) + 0.5)
    return PointClassifier(statistics=statistics, global_size=global_size, hidden=11, num_labels=4)


def module(*, seed: int = 0) -> PointClassifierModule:
    return PointClassifierModule(class_names=CLASSES, backbone=two_layers(), grid=GRID, hidden=11, rate=1e-2, seed=seed)


def test_whole_images_equal_their_points_one_by_one() -> None:
    given, network, locations = features(0, images=2), classifier(global_size=3), torch.arange(48)
    logits = network.on_maps(given, GRID)
    for index in range(2):
        own = given.of_image(index)
        rows = network(hypercolumns_at(own.maps, locations, GRID), own.pooled.expand(48, -1))
        torch.testing.assert_close(logits[index].flatten(1).T, rows, rtol=1e-4, atol=1e-5)


def test_global_features_shift_every_location_alike() -> None:
    network, maps = classifier(global_size=3), [torch.zeros(1, 5, *GRID), torch.zeros(1, 4, 3, 4)]
    ones, zeros = (network.on_maps(Features(maps, pooled), GRID) for pooled in (torch.ones(1, 3), torch.zeros(1, 3)))
    torch.testing.assert_close(ones, ones[..., :1, :1].expand_as(ones))
    assert not torch.allclose(ones, zeros)


def test_without_global_features_nothing_is_learned_from_them() -> None:
    network = classifier(global_size=0)
    assert not any("whole" in name for name, _ in network.named_parameters())


def test_initial_weights_follow_the_seed_alone() -> None:
    one, again, other = (module(seed=seed).classifier.local.weight for seed in (1, 1, 2))
    assert torch.equal(one, again) and not torch.equal(one, other)


def test_an_image_is_labelled_by_the_logits_of_its_grid_resized() -> None:
    network = module().eval()
    logits = network(pictures(2))
    assert logits.shape == (2, 4, 24, 32)
    batch = {"image": pictures(2), "image_id": ["a", "b"], "size": torch.tensor([[24, 32], [12, 16]])}
    one, other = network.predict_step(batch, 0)
    assert one.image_id == "a" and other.labels.shape == (12, 16)
    assert (one.labels == logits[0].argmax(dim=0)).double().mean() > 0.99  # stored in half precision
    probabilities = label_probabilities(one.stored, (24, 32))
    torch.testing.assert_close(probabilities.sum(dim=0), torch.ones(24, 32))
    assert torch.equal(probabilities.argmax(dim=0), one.labels)
    assert one.stored["logits"].shape == (4, *GRID)


def test_known_logits_give_the_known_labels() -> None:
    """Hidden unit c copies channel c of the first layer, and label c reads it."""
    network = module().eval()
    for parameter in network.classifier.parameters():
        parameter.data.zero_()
    for label in range(4):
        network.classifier.local.weight.data[label, label] = network.classifier.out.weight.data[label, label] = 1
    truth = torch.randint(4, GRID, generator=torch.Generator().manual_seed(0))
    first = F.one_hot(truth, 5).permute(2, 0, 1)[None].float()
    batch = {"maps": [first, torch.zeros(1, 4, 3, 4)], "pooled": torch.zeros(1, 3), "image_id": ["a"]}
    (prediction,) = network.predict_step(batch | {"size": torch.tensor([GRID])}, 0)
    assert torch.equal(prediction.labels, truth)


def test_logits_beyond_half_precision_are_refused() -> None:
    network = module().eval()
    network.classifier.out.bias.data.fill_(1e5)
    with pytest.raises(InputError, match="A logit of a"):
        network.predict_step({"image": pictures(1), "image_id": ["a"], "size": torch.tensor([[24, 32]])}, 0)


def points(count: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(count)
    rows = {
        "features": torch.randn(count, 9, generator=generator),
        "pooled": torch.randn(count, 3, generator=generator),
    }
    return rows | {"labels": torch.randint(4, (count,), generator=generator)}


def test_uneven_shares_have_the_gradient_of_the_whole_batch() -> None:
    """8 + 7 of 15, each process's mean counted by its `share`, as the mean over the processes."""
    whole, shared, batch = module(), module(), points(15)
    whole.loss(batch).backward()
    for part, rows in enumerate((8, 7)):
        own = {name: value[part::2] for name, value in batch.items()}
        (shared.loss(own) * (rows * 2 / 15) / 2).backward()
    for one, other in zip(whole.classifier.parameters(), shared.classifier.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=0, atol=1e-6)


def test_masks_are_learned_from_at_the_grid_without_what_they_leave_open() -> None:
    network = module()
    mask = torch.randint(4, (2, *GRID), generator=torch.Generator().manual_seed(0))
    mask[:, :3] = 255
    images = pictures(2)
    logits = network.classifier.on_maps(network.extracted(images), GRID)
    kept = mask != 255
    expected = F.cross_entropy(logits.movedim(1, -1)[kept], mask[kept]) / 2  # half of all locations
    full = F.interpolate(mask[:, None].float(), (24, 32), mode="nearest-exact")[:, 0].long()
    torch.testing.assert_close(network.loss({"image": images, "mask": full}), expected)
    assert not any(parameter.requires_grad for parameter in network.backbone.parameters())
