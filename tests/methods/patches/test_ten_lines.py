"""The patch segmenter without Hydra: Lightning's own trainer gives what the stage gives."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytorch_lightning as pl
import torch
from fake_skies import NETWORK, SIZE, TRAINER, open_skies, train

import wsss_lightning
from wsss_lightning.data.transforms import jitter_augmentation
from wsss_lightning.methods.patches.module import PatchModule
from wsss_lightning.methods.patches.stages.fit_patches import LOGS
from wsss_lightning.methods.patches.steps import PatchData
from wsss_lightning.ops.pooling import pool_log_sum_exp


def same(one: pl.LightningModule, other: pl.LightningModule) -> bool:
    others = other.state_dict()
    return all(torch.equal(value, others[name]) for name, value in one.state_dict().items())


def test_ten_lines(tmp_path: Path) -> None:
    skies = open_skies(tmp_path / "voc", size=32)
    pooling = partial(pool_log_sum_exp, sharpness=1.0)
    model = PatchModule(network=NETWORK, pooling=pooling, rate=0.01, target="moon", seed=3)
    patches = {"target": "moon", "edge": model.network.size, "patches": 4, "size": SIZE, "held_out": 0.25}
    steps = {"augmentation": jitter_augmentation(SIZE), "steps": 5, "batch_size": 3, "seed": 3}
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", logger=False, default_root_dir=tmp_path)
    trainer.fit(model, datamodule=PatchData(skies, **patches, **steps))  # type: ignore[arg-type]
    trainer.save_checkpoint(tmp_path / "model.ckpt")

    metrics = train(tmp_path / "stage", skies, target="moon", steps=5, batch_size=3, seed=3, trainer=TRAINER)
    assert metrics.keys() == LOGS.keys()
    assert same(wsss_lightning.load(tmp_path / "stage"), model)
    assert same(PatchModule.load_from_checkpoint(tmp_path / "model.ckpt"), model)

    (figures,) = trainer.test(model, datamodule=skies, verbose=False)
    assert figures.keys() == {"test/miou", "test/ap", "test/foreground", "test/background"}
    predictions = [each for batch in trainer.predict(model, datamodule=skies) or [] for each in batch]
    assert [each.image_id for each in predictions] == [record.image_id for record in skies.records("val")]
    assert all(each.labels.shape == SIZE and set(each.labels.unique().tolist()) <= {0, 2} for each in predictions)
