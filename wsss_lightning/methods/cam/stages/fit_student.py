"""Stage: the student."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytorch_lightning import LightningDataModule
from pytorch_lightning.loggers import Logger

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.methods.cam.student import Student
from wsss_lightning.nn.backbones import Backbone, check_statistics
from wsss_lightning.nn.optimisation import MakeOptimizer, Scheduler
from wsss_lightning.nn.trunk import Learning
from wsss_lightning.stages.fit import Callbacks, MakeTrainer, fit, inputs_of
from wsss_lightning.stages.stored_steps import stored_images

if TYPE_CHECKING:
    import albumentations as A

LOGS = {"train/loss": None, "val/tag_ap": None, "val/tag_accuracy": None}  # see `pipeline.training`


def fit_student(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    backbone: Backbone,
    maps: str | None,
    val_maps: str | None,
    masks: str,
    stride: int,
    trunk: Learning,
    mirror: bool,
    hidden: int,
    dilation: int,
    batch_size: int,
    steps: int,
    rate: float,
    seed: int,
    trainer: MakeTrainer,
    loggers: Mapping[str, Logger],
    workers: int,
    checkpoint_every: int,
    progress: bool,
    augmentation: "A.Compose | None" = None,
    new_layers: float = 1.0,
    optimizer: MakeOptimizer | None = None,
    scheduler: Scheduler | None = None,
    callbacks: Callbacks = None,
    prior: float = 0.0,
) -> dict[str, float]:
    """Train a `Student` on the training images and the masks of a folder, the only ones that are opened.

    `maps`, `val_maps`: folders of `store_maps` stages, of which an image's maps or its mirror image's are learned from;
    None where the trunk learns, and then images are, with `augmentation`. The others as in `Student`.
    """
    check_statistics(backbone, data.mean, data.std)
    model = Student(
        backbone=backbone,
        class_names=data.class_names,
        stride=stride,
        trunk=trunk,
        hidden=hidden,
        dilation=dilation,
        rate=rate,
        new_layers=new_layers,
        seed=seed,
        optimizer=optimizer,
        scheduler=scheduler,
        prior=prior,
    )
    source: LightningDataModule
    if maps is None:
        settings = {"batch_size": batch_size, "augmentation": augmentation, "steps": steps, "seed": seed}
        source = replace(data, **settings, workers=workers, pseudo_masks=masks)  # type: ignore[arg-type]
    else:
        source = stored_images(
            data, maps, val_maps, masks, model.trunk, mirror=mirror, batch_size=batch_size, steps=steps, seed=seed
        )
    return fit(
        out_dir=Path(out_dir),
        model=model,
        data=source,
        inputs=inputs_of(data),
        trainer=trainer,
        callbacks=callbacks,
        loggers=loggers,
        checkpoint_every=checkpoint_every,
        progress=progress,
        description="student",
    )
