"""The stage of `ColourModule`; predicting and evaluating are the project's own."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pytorch_lightning.loggers import Logger

from mine.colours import ColourModule
from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.nn.optimisation import MakeOptimizer, Scheduler
from wsss_lightning.stages.fit import Callbacks, MakeTrainer, fit, inputs_of


def fit_colours(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    hidden: int,
    sharpness: float,
    rate: float,
    steps: int,
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
    """Train on the tags of the training images; leaves the whole model. `steps`: of the optimiser."""
    model = ColourModule(
        class_names=data.class_names,
        hidden=hidden,
        sharpness=sharpness,
        rate=rate,
        seed=seed,
        optimizer=optimizer,
        scheduler=scheduler,
    )
    return fit(
        out_dir=Path(out_dir),
        model=model,
        data=replace(data, steps=steps, workers=workers, seed=seed),
        inputs=inputs_of(data),
        trainer=trainer,
        callbacks=callbacks,
        loggers=loggers,
        checkpoint_every=checkpoint_every,
        progress=progress,
        description="colours",
    )
