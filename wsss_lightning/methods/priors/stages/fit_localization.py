"""Stage: the localization network from tags (priors sec. 4.2.2)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytorch_lightning import LightningDataModule
from pytorch_lightning.loggers import Logger

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.methods.priors.localization import LocalizationModule, MakeNetwork
from wsss_lightning.methods.priors.localization_trunk import LocalizationTrunk
from wsss_lightning.nn.backbones import Backbone, check_statistics
from wsss_lightning.nn.class_activation import HeadStart
from wsss_lightning.nn.optimisation import MakeOptimizer, Scheduler
from wsss_lightning.nn.tag_losses import Loss
from wsss_lightning.stages.fit import Callbacks, MakeTrainer, fit, inputs_of
from wsss_lightning.stages.stored_steps import stored_averages

if TYPE_CHECKING:
    import albumentations as A

LOGS = {"train/loss": None, "val/tag_ap": None, "val/tag_accuracy": None}  # see `pipeline.training`


def fit_localization(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    backbone: Backbone,
    network: MakeNetwork,
    loss: Loss,
    size: tuple[int, int] | None,
    augmentation: "A.Compose | None",
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
    start: HeadStart = "drawn",
    maps: str | None = None,
    val_maps: str | None = None,
) -> dict[str, float]:
    """Train a classifier of tags on all training images; leaves the whole model (see `LocalizationModule`).

    `augmentation`: of training images, to `size` (H, W) in px; held-out images are resized to it whole. `maps`,
    `val_maps`: folders of `store_maps` stages, whose averages are learned from in the place of images; None for images.
    """
    check_statistics(backbone, data.mean, data.std)
    images = replace(
        data,
        size=None if size is None else (size[0], size[1]),
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
        start=start,
        class_names=data.class_names,
    )
    source: LightningDataModule = images
    if maps is not None:
        network = require_trunk(model.network)
        mirror = any(variant.mirrored for variant in network.variants)
        source = stored_averages(
            data, maps, val_maps, mirror=mirror, batch_size=batch_size, steps=sum(steps), seed=seed
        )
    return fit(
        out_dir=Path(out_dir),
        model=model,
        data=source,
        inputs=inputs_of(images),
        trainer=trainer,
        callbacks=callbacks,
        loggers=loggers,
        checkpoint_every=checkpoint_every,
        progress=progress,
        description="localization network",
    )


def require_trunk(network: object) -> LocalizationTrunk:
    """The network, which must be one that reads maps.

    Raises:
        InputError: it looks at images alone.
    """
    if not isinstance(network, LocalizationTrunk):
        raise InputError("Stored maps are read by heads on a trunk alone: take ablation=priors/frozen, or no maps.")
    return network
