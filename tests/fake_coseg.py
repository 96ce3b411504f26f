"""A small coseg network on a tiny VOC folder, for the tests of its stages."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from fake_segmenter import backbone

from wsss_lightning.data.transforms import crop_augmentation
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.methods.coseg.network import CosegNetwork
from wsss_lightning.methods.coseg.segmenter import CosegModule, mask_loss
from wsss_lightning.methods.coseg.stages.fit_on_masks import fit_on_masks

NETWORK = partial(CosegNetwork, hidden=8, dilation=1, dropout=0.5, branch_hidden=8)


TRAINER = partial(pl.Trainer, accelerator="cpu", devices=1, log_every_n_steps=1, logger=False)
LOSS = partial(mask_loss, balance=1.0, present="mask")


def module(**settings: Any) -> CosegModule:
    """A module before training."""
    defaults: dict[str, Any] = {
        "backbone": backbone(),
        "network": NETWORK,
        "branch": "added",
        "num_classes": 20,
        "loss": LOSS,
        "rates": [1e-2, 1e-3],
        "steps": [4, 3],
    }
    return CosegModule(**{**defaults, **settings})


def train(out_dir: Path, data: VOCDataModule, masks: str, **settings: Any) -> dict[str, float]:
    """Run `fit_on_masks` for a few steps."""
    defaults: dict[str, Any] = {
        "held_out": data,
        "backbone": backbone(),
        "network": NETWORK,
        "branch": "added",
        "start": None,
        "augmentation": crop_augmentation((24, 24)),
        "loss": LOSS,
        "batch_size": 2,
        "rates": [1e-2, 1e-3],
        "steps": [4, 3],
        "snapshot_every": None,
        "seed": 0,
        "trainer": TRAINER,
        "loggers": {},
        "workers": 0,
        "checkpoint_every": 2,
        "progress": False,
    }
    return fit_on_masks(out_dir=str(out_dir), data=data, masks=masks, **{**defaults, **settings})
