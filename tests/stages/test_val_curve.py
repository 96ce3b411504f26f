"""The curve of the val images: training does not notice it, and what cannot be drawn is refused."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from fake_segmenter import backbone, open_voc, write_weak_masks
from pytorch_lightning.loggers import CSVLogger

import wsss_lightning
from wsss_lightning.errors import InputError
from wsss_lightning.methods.cam.stages.fit_student import fit_student
from wsss_lightning.stages.val_curve import ValCurve

STUDENT: dict[str, Any] = {"maps": None, "val_maps": None, "stride": 8, "trunk": "last", "mirror": True, "hidden": 4}
STUDENT |= {"dilation": 1, "batch_size": 2, "steps": 6, "rate": 1e-2, "seed": 3, "workers": 0, "checkpoint_every": 9}


def learn(folder: Path, *, curve: bool, **options: Any) -> torch.Tensor:
    """The trained weights, with a curve or without."""
    data, loggers = open_voc(folder / "voc"), {"csv": CSVLogger(folder, name="logs")} if curve else {}
    masks = write_weak_masks(folder / "masks", data)
    trainer = partial(pl.Trainer, accelerator="cpu", devices=1, **options)
    callbacks = {"val_curve": ValCurve(data, times=3)} if curve else None
    own: dict[str, Any] = {"loggers": loggers, "trainer": trainer, "callbacks": callbacks, "progress": False}
    fit_student(out_dir=str(folder), data=data, backbone=backbone(), masks=masks, **STUDENT, **own)
    state = wsss_lightning.load(folder).state_dict()
    return torch.cat([value.flatten().double() for value in state.values()])


@pytest.mark.parametrize("options", [{}, {"accumulate_grad_batches": 2}])
def test_weights_are_the_same_with_and_without(tmp_path: Path, options: dict[str, Any]) -> None:
    plain = learn(tmp_path / "plain", curve=False, **options)
    assert torch.equal(learn(tmp_path / "curve", curve=True, **options), plain)
    (log,) = (tmp_path / "curve" / "logs").rglob("metrics.csv")
    header, *rows = [line.split(",") for line in log.read_text().splitlines()]
    curve = [row for row in rows if row[header.index("val/miou")]]
    assert [int(row[header.index("step")]) for row in curve] == [1, 3, 5]


def test_without_a_logger_it_is_refused(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc")
    module = type("Labels", (pl.LightningModule,), {"confusion": None})()
    with pytest.raises(InputError, match="needs a logger"):
        ValCurve(data).on_train_start(pl.Trainer(logger=False, accelerator="cpu"), module)
    with pytest.raises(ValueError, match="positive"):
        ValCurve(data, times=0)
