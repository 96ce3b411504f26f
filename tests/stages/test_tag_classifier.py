from functools import partial
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from fake_segmenter import backbone
from torch.nn import functional as F

from wsss_lightning.data.steps import StepData
from wsss_lightning.data.stored_maps import Pooled, PooledSteps
from wsss_lightning.nn.resnet import resnet18
from wsss_lightning.nn.tag_losses import loss_beside, softmax_cross_entropy
from wsss_lightning.nn.trunk import Variant
from wsss_lightning.stages.tag_classifier import Activation, TagClassifier

NAMES = ["first", "second"]


def classifier(**settings: Any) -> TagClassifier:
    return TagClassifier(backbone=backbone(), class_names=NAMES, stride=8, **settings)


def _images() -> torch.Tensor:
    return torch.randn(2, 3, 48, 64, generator=torch.Generator().manual_seed(0))


def test_stored_averages_and_images_have_the_same_logits_and_loss() -> None:
    model = classifier()
    pooled = model.trunk.look(_images(), Variant())[1].mean(dim=(2, 3))
    tags, share = torch.tensor([[True, False], [True, True]]), torch.tensor(0.5)
    logits = model(_images())
    model.log = lambda *_, **__: None  # type: ignore[method-assign]
    for inputs in ({"image": _images()}, {"pooled": pooled}):
        torch.testing.assert_close(model.tag_logits(inputs), logits)
        loss = model.training_step({**inputs, "tags": tags, "share": share}, 0)
        expected = F.binary_cross_entropy_with_logits(logits, tags.float())
        torch.testing.assert_close(loss, 0.5 * expected)


def test_only_the_tags_have_maps_and_stored_maps_give_those_of_the_image() -> None:
    model = classifier(scales=(0.5, 1.0), mirror=True)
    tags = torch.tensor([[False, True], [True, True]])
    about = {"image_id": ["a", "b"], "tags": tags, "size": torch.tensor([[48, 64], [40, 60]])}
    seen = {variant: model.trunk.look(_images(), variant)[1] for variant in model.variants}
    deep = [{variant: maps[index] for variant, maps in seen.items()} for index in range(2)]
    with torch.inference_mode():
        of_images = model.predict_step({**about, "image": _images()}, 0)
        of_stored = model.predict_step({**about, "deep": deep}, 0)
    assert [each.classes.tolist() for each in of_images] == [[1], [0, 1]]
    assert [each.maps.shape for each in of_images] == [(1, 48, 64), (2, 40, 60)]
    for one, other in zip(of_images, of_stored, strict=True):
        assert one.image_id == other.image_id
        torch.testing.assert_close(one.maps, other.maps)
        assert float(one.maps.min()) >= 0 and float(one.maps.max()) <= 1


def test_a_pixel_has_the_class_of_the_highest_map_above_the_threshold() -> None:
    model = classifier(threshold=0.5)
    maps = torch.tensor([[[0.9, 0.6, 0.4]], [[0.1, 0.8, 0.5]]])
    assert model.labels(Activation("a", torch.tensor([0, 1]), maps)).tolist() == [[1, 2, 0]]
    assert model.labels(Activation("a", torch.tensor([1]), maps[:1])).tolist() == [[2, 2, 0]]
    nothing = torch.zeros(0, dtype=torch.long)
    assert model.labels(Activation("a", nothing, maps[:0])).tolist() == [[0, 0, 0]]
    assert TagClassifier(**model.hparams).threshold == 0.5 and classifier().threshold == 0.15
    assert "confusion" not in str(model.state_dict().keys())


def test_it_starts_from_the_backbone_s_own_rows_and_learns_by_the_loss_given() -> None:
    names, base = ["cat", "person"], resnet18(None)
    rows = base.network.fc.weight.clone()
    model = TagClassifier(backbone=base, class_names=names, start="shared_rows", loss=softmax_cross_entropy)
    torch.testing.assert_close(model.linear.weight[0], rows[281:286].mean(dim=0) - rows.mean(dim=0))
    assert model.alone.tolist() == [False, True]
    logits, tags = model(_images()), torch.tensor([[True, False], [True, True]])
    model.log = lambda *_, **__: None  # type: ignore[method-assign]
    expected = loss_beside(softmax_cross_entropy, logits, tags, alone=model.alone)
    batch = {"image": _images(), "tags": tags, "share": torch.tensor(1.0)}
    torch.testing.assert_close(model.training_step(batch, 0), expected)
    again = TagClassifier(**model.hparams)
    assert again.alone.tolist() == [False, True] and again.loss is softmax_cross_entropy


def _averages(count: int = 48) -> Pooled:
    """Averages from which tags can be told by a plane each."""
    values = torch.randn(1, count, 96, generator=torch.Generator().manual_seed(5))
    return Pooled(values, torch.stack([values[0, :, 0] > 0, values[0, :, 1] > values[0, :, 2]], dim=1))


def _fit(model: TagClassifier, pooled: Pooled, *, parts: int = 1, batch_size: int = 16) -> TagClassifier:
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        use_distributed_sampler=False,
        accumulate_grad_batches=parts,
    )
    steps = partial(_steps, pooled, batch_size)
    trainer.fit(model, datamodule=StepData(steps=steps, seed=0))
    return model


def _steps(pooled: Pooled, batch_size: int, parts: int) -> PooledSteps:
    return PooledSteps(pooled, batch_size=batch_size * parts, epochs=60, seed=0)


def test_what_can_be_told_is_learned_and_the_frozen_trunk_stays() -> None:
    model, pooled = classifier(rate=1e-2), _averages()
    before = {name: tensor.clone() for name, tensor in model.trunk.state_dict().items()}
    with torch.no_grad():
        start = float(F.multilabel_soft_margin_loss(model.linear(pooled.values[0]), pooled.tags.float()))
    _fit(model, pooled)
    with torch.no_grad():
        logits = model.linear(pooled.values[0])
    assert float(((logits > 0) == pooled.tags).float().mean()) > 0.98
    assert float(F.multilabel_soft_margin_loss(logits, pooled.tags.float())) < start / 4
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.trunk.state_dict().items())


def test_two_accumulated_batches_are_one_twice_as_large() -> None:
    whole, parts = _fit(classifier(), _averages()), _fit(classifier(), _averages(), parts=2, batch_size=8)
    torch.testing.assert_close(whole.linear.weight, parts.linear.weight, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("learning", ["last", "all"])
def test_a_trunk_that_learns_is_optimised_at_a_lower_rate(learning: Any) -> None:
    model = classifier(trunk=learning, rate=1e-4, new_layers=10.0)
    model.trainer = type("Trainer", (), {"estimated_stepping_batches": 10})()  # type: ignore[assignment]
    groups = model.configure_optimizers()["optimizer"].param_groups
    assert [len(group["params"]) for group in groups] == [len(list(model.trunk.learnable())), 2]
    assert [round(group["lr"], 8) for group in groups] == [1e-4, 1e-3]
