"""Stage: a patch network from the tags of images (patches sec. 3.1 and 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pytorch_lightning.loggers import Logger

from wsss_lightning import models
from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.target import target_index
from wsss_lightning.errors import InputError
from wsss_lightning.methods.patches.module import MakePatchNetwork, PatchModule, Pooling
from wsss_lightning.methods.patches.steps import PatchData
from wsss_lightning.nn.optimisation import MakeOptimizer, Scheduler
from wsss_lightning.stages.fit import Callbacks, MakeTrainer, fit, inputs_of

if TYPE_CHECKING:
    import albumentations as A

MINED = "mined.npy"
LOGS = {"train/loss": None, "val/tag_ap": None, "val/tag_accuracy": None}  # see `pipeline.training`


def fit_patches(
    *,
    out_dir: str,
    source: SegmentationDataModule,
    target: str,
    network: MakePatchNetwork,
    patches: int,
    size: tuple[int, int],
    augmentation: A.Compose,
    pooling: Pooling,
    positives: float,
    held_out: float,
    start: str | None,
    mined: str | None,
    rate: float,
    steps: int,
    batch_size: int,
    seed: int,
    trainer: MakeTrainer,
    loggers: Mapping[str, Logger],
    workers: int,
    checkpoint_every: int,
    progress: bool,
    optimizer: MakeOptimizer | None = None,
    scheduler: Scheduler | None = None,
    callbacks: Callbacks = None,
) -> dict[str, float]:
    """Tell the images of one class from all others by patches; leaves the model, a `module.PatchModule`.

    Tags alone are read. `val/tag_accuracy` and `val/tag_ap` are of the images of `source` that are held out; where
    patches were mined from these, they are no longer independent. For what is not named here see `PatchModule` and
    `steps.PatchData`.

    Args:
        start: folder of the round before, whose weights are gone on from; None draws them with `seed`.
        mined: folder of `mine_patches`, half of the negatives; None for none.
    """
    model = PatchModule(
        network=network,
        pooling=pooling,
        rate=rate,
        target=target,
        seed=seed,
        optimizer=optimizer,
        scheduler=scheduler,
    )
    if start is not None:
        model.load_state_dict(read_patch_module(start).state_dict())
    data = PatchData(
        source,
        target=target,
        edge=model.network.size,
        patches=patches,
        size=size,
        augmentation=augmentation,
        positives=positives,
        held_out=held_out,
        mined=None if mined is None else np.load(Path(mined) / MINED, mmap_mode="r"),
        first=start is None,
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        workers=workers,
    )
    return fit(
        out_dir=Path(out_dir),
        model=model,
        data=data,
        inputs=_inputs(source, target, side=min(size)),
        trainer=trainer,
        callbacks=callbacks,
        loggers=loggers,
        checkpoint_every=checkpoint_every,
        progress=progress,
        description=f"patch network, {target}",
    )


def read_patch_module(folder: str) -> PatchModule:
    """The trained module of a finished stage, frozen.

    Raises:
        InputError: there is none, or it is another method's.
    """
    model = models.load(folder)
    if not isinstance(model, PatchModule):
        raise InputError(f"{folder} holds a {type(model).__name__}: name the folder of a fit_patches stage.")
    return model


def _inputs(source: SegmentationDataModule, target: str, *, side: int) -> models.Inputs:
    """The class alone, label 1; images whose shorter side is as long as in training."""
    whole, label = inputs_of(source), 1 + target_index(source, target)
    return replace(
        whole,
        class_names=[target],
        indices=[0, whole.indices[label]],
        palette=[whole.palette[0], whole.palette[label]],
        size=side,
    )
