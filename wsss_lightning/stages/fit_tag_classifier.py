"""Stage: the classifier of tags."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytorch_lightning import LightningDataModule
from pytorch_lightning.loggers import Logger

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.nn.backbones import Backbone, check_statistics
from wsss_lightning.nn.class_activation import HeadStart
from wsss_lightning.nn.optimisation import MakeOptimizer, Scheduler
from wsss_lightning.nn.tag_losses import Loss
from wsss_lightning.nn.trunk import Learning
from wsss_lightning.stages.fit import Callbacks, MakeTrainer, fit, inputs_of
from wsss_lightning.stages.stored_steps import stored_averages
from wsss_lightning.stages.tag_classifier import TagClassifier

if TYPE_CHECKING:
    import albumentations as A

LOGS = {"train/loss": None, "val/tag_ap": None, "val/tag_accuracy": None}  # see `pipeline.training`


def fit_tag_classifier(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    backbone: Backbone,
    maps: str | None,
    val_maps: str | None,
    stride: int,
    trunk: Learning,
    scales: Sequence[float],
    mirror: bool,
    batch_size: int,
    epochs: int,
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
    start: HeadStart = "drawn",
    loss: Loss | None = None,
) -> dict[str, float]:
    """Train a `TagClassifier` on the tags of the training images; `val/tag_ap` is how well it tells those of val.

    `maps`, `val_maps`: folders of `store_maps` stages, whose averages are learned from, an image's or its mirror
    image's; None where the trunk learns, and then images are, with `augmentation`. `scales`, `mirror`: of the
    activation maps that the model makes; the others as in `TagClassifier`.
    """
    check_statistics(backbone, data.mean, data.std)
    model = TagClassifier(
        backbone=backbone,
        class_names=data.class_names,
        stride=stride,
        trunk=trunk,
        scales=scales,
        mirror=mirror,
        rate=rate,
        new_layers=new_layers,
        seed=seed,
        optimizer=optimizer,
        scheduler=scheduler,
        start=start,
        loss=loss,
    )
    source: LightningDataModule
    if maps is None:
        images = len(data.records("train"))
        steps = epochs * max(images // batch_size, 1)
        settings = {"batch_size": batch_size, "augmentation": augmentation, "steps": steps, "seed": seed}
        source = replace(data, **settings, workers=workers)  # type: ignore[arg-type]
    else:
        source = stored_averages(data, maps, val_maps, mirror=mirror, batch_size=batch_size, epochs=epochs, seed=seed)
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
        description="classifier of tags",
    )
