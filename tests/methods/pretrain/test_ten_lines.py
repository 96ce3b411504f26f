"""The picture classifier without Hydra: Lightning's own trainer gives what the stage gives."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from fake_skies import TRAINER

import wsss_lightning
from wsss_lightning.data.shapes import PICTURE_CLASSES
from wsss_lightning.methods.pretrain.classifier import PictureClassifier
from wsss_lightning.methods.pretrain.stages.pretrain import LOGS, pretrain
from wsss_lightning.methods.pretrain.steps import PictureData
from wsss_lightning.nn.optimisation import cosine
from wsss_lightning.nn.vgg import VGG, tiny

WIDTHS = (16, 32, 64, 96, 96)  # of `tiny`
PICTURES: dict[str, Any] = {"pictures": 24, "held_out": 6, "size": 96, "epochs": 2, "batch_size": 8, "seed": 3}
STATISTICS: dict[str, Any] = {"mean": (0.5,) * 3, "std": (0.25,) * 3}


def classifier() -> PictureClassifier:
    network = partial(VGG, widths=WIDTHS, fc6_kernel=3, hidden=128, normalise=True)
    return PictureClassifier(network=network, class_names=PICTURE_CLASSES, rate=2e-3, weight_decay=1e-2, seed=3)


def run_stage(folder: Path, **settings: Any) -> dict[str, float]:
    network = {"widths": WIDTHS, "fc6_kernel": 3, "hidden": 128, "rate": 2e-3, "weight_decay": 1e-2}
    job = {"trainer": TRAINER, "loggers": {}, "workers": 0, "checkpoint_every": 2, "progress": False}
    return pretrain(out_dir=str(folder), **{**network, **PICTURES, **STATISTICS, **job, **settings})


def same(one: pl.LightningModule, other: pl.LightningModule) -> bool:
    others = other.state_dict()
    return all(torch.equal(value, others[name]) for name, value in one.state_dict().items())


def test_ten_lines(tmp_path: Path) -> None:
    model, pictures = classifier(), PictureData(**PICTURES, **STATISTICS)
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", logger=False, default_root_dir=tmp_path)
    trainer.fit(model, datamodule=pictures)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    accuracy = trainer.callback_metrics["val/accuracy"].item()

    metrics = run_stage(tmp_path / "stage")
    assert metrics["val/accuracy"] == accuracy and metrics.keys() == LOGS.keys()
    assert same(wsss_lightning.load(tmp_path / "stage"), model)
    assert same(PictureClassifier.load_from_checkpoint(tmp_path / "model.ckpt"), model)
    assert trainer.test(model, datamodule=pictures, verbose=False) == [{"test/accuracy": pytest.approx(accuracy)}]
    (probs,) = trainer.predict(model, datamodule=pictures) or []
    assert isinstance(probs, torch.Tensor)
    torch.testing.assert_close(probs.sum(dim=1), torch.ones(6))


def test_tiny_is_the_trained_network_without_its_batch_norm(tmp_path: Path) -> None:
    run_stage(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors", "model.json", "tiny.safetensors"}
    images = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = wsss_lightning.load(tmp_path)(images)
        folded = tiny(str(tmp_path / "tiny.safetensors"), len(PICTURE_CLASSES))(images)
    torch.testing.assert_close(folded, expected, rtol=0.02, atol=0.02)


def test_another_optimiser_and_schedule(tmp_path: Path) -> None:
    run_stage(tmp_path / "paper")
    run_stage(tmp_path / "same", optimizer=partial(torch.optim.AdamW, weight_decay=1e-2))
    run_stage(tmp_path / "other", optimizer=partial(torch.optim.SGD, momentum=0.9), scheduler=cosine)
    paper, again, other = (wsss_lightning.load(tmp_path / name) for name in ("paper", "same", "other"))
    assert same(paper, again) and not same(paper, other)
