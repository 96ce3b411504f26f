from functools import partial

import pytest
import torch

from wsss_lightning.methods.priors.localization import LocalizationModule
from wsss_lightning.methods.priors.localization_network import localization_vgg
from wsss_lightning.methods.priors.priors import class_activation_maps
from wsss_lightning.nn.tag_losses import sigmoid_cross_entropy
from wsss_lightning.nn.vgg import tiny

TAGS = torch.tensor([[True, False, True], [False, False, False]])


def module() -> LocalizationModule:
    torch.manual_seed(0)
    return LocalizationModule(
        backbone=tiny(None, 2),
        network=partial(localization_vgg, kernel=3, hidden=4),
        num_classes=3,
        loss=sigmoid_cross_entropy,
        rates=[1e-2, 1e-3],
        steps=[2, 1],
    )


def test_every_weight_is_trained_with_the_papers_momentum_and_decay() -> None:
    trained = module()
    (group,) = trained.configure_optimizers()["optimizer"].param_groups
    assert (group["momentum"], group["weight_decay"]) == (0.9, 0.0005)
    assert {id(p) for p in group["params"]} == {id(p) for p in trained.network.parameters()}


def test_a_training_step_descends() -> None:
    trained = module()
    trained.log = lambda *_, **__: None
    batch = {"image": torch.randn(2, 3, 32, 32), "tags": TAGS}
    optimizer = trained.configure_optimizers()["optimizer"]
    losses = []
    for _ in range(5):
        loss = trained.training_step(batch, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert losses[0] == pytest.approx(sigmoid_cross_entropy(module()(batch["image"]), TAGS).item())


def test_held_out_tags_are_scored_over_all_batches() -> None:
    """Scores of three images in two batches: the last class is told perfectly, the first as badly as can be."""
    trained, logged = module(), {}
    trained.log_dict = logged.update
    scores = torch.tensor([[-1.0, 2, 1], [1, 1, -1], [2, 0, -2]])
    tags = torch.tensor([[True, True, True], [False, False, False], [False, False, False]])
    for rows in (slice(0, 2), slice(2, 3)):
        trained.network.forward = lambda _, rows=rows: scores[rows]
        trained.validation_step({"image": torch.empty(0), "tags": tags[rows]}, 0)
    trained.on_validation_epoch_end()
    assert logged["val/tag_ap"] == pytest.approx((1 / 3 + 1 + 1) / 3)
    assert logged["val/tag_accuracy"] == pytest.approx((0 + (1 + 0) / 2 + 1) / 3)


def test_predictions_are_the_maps_of_the_tagged_classes() -> None:
    """The best of eq 4's background and scaled maps at the image's own size; without a tag background alone."""
    trained, images = module(), torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    batch = {"image": images, "image_id": ["a", "b"], "tags": TAGS, "size": torch.tensor([[2, 2], [8, 16]])}
    with torch.inference_mode():
        tagged, untagged = trained.predict_step(batch, 0)
        maps = class_activation_maps(trained.network.features(images), trained.network.weights)
    assert tagged.stored["present"].tolist() == [1, 3]
    torch.testing.assert_close(tagged.stored["cams"], maps[0, [0, 2]])
    scaled = [each / each.max() for each in maps[0, [0, 2]].clamp_min(0)]
    scores = torch.stack([1 - (scaled[0] + scaled[1]) / 2, *scaled])
    assert torch.equal(tagged.labels, torch.tensor([0, 1, 3])[scores.argmax(dim=0)])
    assert untagged.stored["cams"].shape == (0, 2, 2)
    assert torch.equal(untagged.labels, torch.zeros(8, 16, dtype=torch.long))
