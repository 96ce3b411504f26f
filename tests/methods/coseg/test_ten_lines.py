"""The coseg paper's networks without Hydra: Lightning's own trainer gives what the stages give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from fake_coseg import LOSS, NETWORK, TRAINER, train
from fake_segmenter import backbone, open_voc, write_weak_masks

import wsss_lightning
from wsss_lightning.data.masks import read_mask
from wsss_lightning.data.transforms import crop_augmentation
from wsss_lightning.methods.coseg.segmenter import CosegModule
from wsss_lightning.methods.coseg.stages.fit_on_masks import LOGS
from wsss_lightning.methods.coseg.stages.predict_scales import predict_scales


def same(one: pl.LightningModule, other: pl.LightningModule) -> bool:
    others = other.state_dict()
    return all(torch.equal(value, others[name]) for name, value in one.state_dict().items())


def test_ten_lines(tmp_path: Path) -> None:
    masks = write_weak_masks(tmp_path / "masks", open_voc(tmp_path / "voc"))
    learning = {"pseudo_masks": masks, "augmentation": crop_augmentation((24, 24)), "batch_size": 2, "steps": 7}
    data = open_voc(tmp_path / "voc", seed=3, **learning)
    network = {"backbone": backbone(), "network": NETWORK, "branch": "added", "num_classes": data.num_classes}
    model = CosegModule(**network, loss=LOSS, rates=[1e-2, 1e-3], steps=[4, 3], seed=3)  # type: ignore[arg-type]
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", logger=False, default_root_dir=tmp_path)
    trainer.fit(model, datamodule=data)
    trainer.save_checkpoint(tmp_path / "model.ckpt")

    metrics = train(tmp_path / "stage", open_voc(tmp_path / "voc"), masks, seed=3)
    assert same(wsss_lightning.load(tmp_path / "stage"), model)
    assert same(CosegModule.load_from_checkpoint(tmp_path / "model.ckpt"), model)
    assert metrics.pop("train/images") == 3
    assert metrics.keys() == LOGS.keys()
    assert metrics == {name: float(value) for name, value in trainer.callback_metrics.items()}

    model.scales = (0.7, 1.0, 1.3)
    (figures,) = trainer.test(model, datamodule=data, verbose=False)
    assert figures.keys() == {"test/miou"}
    predictions = [each for batch in trainer.predict(model, datamodule=data) or [] for each in batch]
    folder = tmp_path / "predicted"
    predict_scales(
        out_dir=str(folder),
        data=open_voc(tmp_path / "voc"),
        model=str(tmp_path / "stage"),
        split="val",
        scales=model.scales,
        tagged=False,
        keep=False,
        trainer=TRAINER,
        workers=0,
        progress=False,
    )
    assert [each.image_id for each in predictions] == [record.image_id for record in data.records("val")]
    for each in predictions:
        written = data.encode(read_mask(folder / "masks" / f"{each.image_id}.png"), Path())
        assert np.array_equal(each.labels.numpy(), written)
