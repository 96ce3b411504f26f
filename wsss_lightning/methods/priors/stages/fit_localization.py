"""Stage: the localization network from tags (priors sec. 4.2.2)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytorch_lightning.loggers import Logger

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.methods.priors.localization import LocalizationModule, Loss, MakeNetwork
from wsss_lightning.nn.backbones import Backbone, check_statistics
from wsss_lightning.nn.optimisation import MakeOptimizer, Scheduler
from wsss_lightning.stages.fit import Callbacks, MakeTrainer, fit, inputs_of

if TYPE_CHECKING:
    import albumentations as A


def fit_localization(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    backbone: Backbone,
    network: MakeNetwork,
    loss: Loss,
    size: tuple[int, int],
    augmentation: "A.Compose",
    batch_size: int,
    rates: Sequence[float],
    steps: Sequence[int],
    seed: int,
    trainer: MakeTrainer,
    loggers: Mapping[str, Logger],
    workers: int,
    checkpoint_every: int,
    progress: bool,
    optimizer: MakeOptimizer | None = None,
    scheduler: Scheduler | None = None,
    callbacks: Callbacks = None,
    new_layers: float = 1.0,
) -> dict[str, float]:
    """Train a classifier of tags on all training images; leaves the whole model (see `LocalizationModule`).

    `augmentation`: of training images, to `size` (H, W) in px; held-out images are resized to it whole.
    """
    check_statistics(backbone, data.mean, data.std)
    images = replace(
        data,
        size=(size[0], size[1]),
        augmentation=augmentation,
        batch_size=batch_size,
        steps=sum(steps),
        workers=workers,
        seed=seed,
    )
    model = LocalizationModule(
        backbone=backbone,
        network=network,
        num_classes=data.num_classes,
        loss=loss,
        rates=rates,
        steps=steps,
        seed=seed,
        optimizer=optimizer,
        scheduler=scheduler,
        new_layers=new_layers,
    )
    return fit(
        out_dir=Path(out_dir),
        model=model,
        data=images,
        inputs=inputs_of(images),
        trainer=trainer,
        callbacks=callbacks,
        loggers=loggers,
        checkpoint_every=checkpoint_every,
        progress=progress,
        description="localization network",
    )
