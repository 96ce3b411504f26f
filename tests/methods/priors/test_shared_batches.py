"""Several devices and accumulated batches learn what one device learns from the whole batch."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from fake_segmenter import NETWORK, backbone, module, open_voc, write_weak_masks
from torch import Tensor

from wsss_lightning import pipeline
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.methods.priors.localization import LocalizationModule
from wsss_lightning.methods.priors.localization_network import localization_vgg
from wsss_lightning.methods.priors.segmenter import class_masks, foreground_masks, tags_alone
from wsss_lightning.nn.tag_losses import Loss, softmax_cross_entropy
from wsss_lightning.stages.io import read_tensors

PLAIN = partial(NETWORK, dropout=0.0)  # what dropout draws differs from device to device
LOSSES = [class_masks, foreground_masks, tags_alone]


def localization(*, loss: Loss = softmax_cross_entropy) -> LocalizationModule:
    network = partial(localization_vgg, kernel=3, hidden=8)
    return LocalizationModule(backbone=backbone(), network=network, num_classes=20, loss=loss, rates=[1e-2], steps=[3])


@pytest.fixture
def data(tmp_path: Path) -> VOCDataModule:
    """Three training images, which two devices cannot share evenly."""
    opened = open_voc(tmp_path / "voc", size=(24, 32), batch_size=3, pseudo_masks=tmp_path / "masks", steps=3)
    write_weak_masks(tmp_path / "masks", opened)
    return opened


def gradients(model: pl.LightningModule, data: VOCDataModule, *, world: int) -> list[Tensor]:
    """The mean over devices of the gradient of each one's part of the first step."""
    model.log = lambda *_, **__: None  # type: ignore[method-assign]
    for rank in range(world):
        data.trainer = SimpleNamespace(  # type: ignore[assignment]
            global_rank=rank, world_size=world, accumulate_grad_batches=1, training=False, accelerator=None
        )
        (model.training_step(next(iter(data.train_dataloader())), 0) / world).backward()
    return [weight.grad for weight in model.parameters() if weight.grad is not None]


@pytest.mark.parametrize("loss", LOSSES)
def test_uneven_shares_have_the_gradient_of_the_whole_batch(data: VOCDataModule, loss: object) -> None:
    one, two = (
        gradients(module(loss=partial(loss, sharpness=5.0), network=PLAIN), data, world=world)  # type: ignore[operator]
        for world in (1, 2)
    )
    assert len(one) == len(two) > 20
    for whole, shared in zip(one, two, strict=True):
        torch.testing.assert_close(shared, whole, rtol=1e-4, atol=1e-6)


def test_the_localization_network_shares_alike(data: VOCDataModule) -> None:
    one, two = (gradients(localization(), data, world=world) for world in (1, 3))
    for whole, shared in zip(one, two, strict=True):
        torch.testing.assert_close(shared, whole, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("make", [partial(module, network=PLAIN), localization])
def test_accumulated_batches_are_one_of_that_size(data: VOCDataModule, make: partial[pl.LightningModule]) -> None:
    trained = []
    for size, accumulated in ((2, 1), (1, 2)):
        data.batch_size, model = size, make()
        trainer = pl.Trainer(
            max_epochs=1,
            accumulate_grad_batches=accumulated,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
        )
        trainer.fit(model, datamodule=data)
        assert trainer.global_step == 3
        trained.append(model.state_dict())
    for name, value in trained[0].items():
        torch.testing.assert_close(trained[1][name], value, rtol=0, atol=1e-6)


@pytest.mark.long
@pytest.mark.parametrize("result", ["segmenter", "localization"])
def test_several_processes_train_what_one_trains(tmp_path: Path, result: str) -> None:
    small = ["stages.shapes.train=8", "stages.shapes.val=2", "stages.shapes.size=64", "runtime.progress=false"]
    sizes = ["tuning.localization.size=[64,64]", "tuning.localization.frame=[72,72]", "data.size=[48,48]"]
    steps = ["tuning.localization.steps=[3,2]", "tuning.segmenter.steps=[3,2]", "tuning.vgg.small.dropout=0.0"]
    batches = ["data.batch_size=3", "stages.localization.batch_size=5"]
    weights = []
    for devices in (1, 2, 3):
        row = ["method=priors", "ablation=priors/tags", f"result={result}", f"trainer.devices={devices}"]
        overrides = [f"paths.root={tmp_path}", *small, *sizes, *steps, *batches, *row, "trainer.accelerator=cpu"]
        planned = pipeline.plan(overrides)
        pipeline.run(planned)
        weights.append(read_tensors(planned.final.folder / "model.safetensors"))
    one, *others = weights
    for other in others:
        assert one.keys() == other.keys()
        for name, value in one.items():
            torch.testing.assert_close(other[name], value, rtol=0, atol=1e-6)
