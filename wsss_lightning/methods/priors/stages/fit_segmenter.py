"""Stage: a segmentation network from tags and the masks made from them (priors sec. 3.2 and 4.2.1)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pytorch_lightning import LightningDataModule
from pytorch_lightning.loggers import Logger

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.methods.priors.segmenter import MakeNetwork, SegmenterModule, WeakLoss
from wsss_lightning.nn.backbones import Backbone, check_statistics
from wsss_lightning.nn.deeplab_trunk import DeepLabTrunk
from wsss_lightning.nn.optimisation import MakeOptimizer, Scheduler
from wsss_lightning.stages.fit import Callbacks, MakeTrainer, fit, inputs_of
from wsss_lightning.stages.stored_steps import stored_images

LOGS = {"train/loss": None, "val/tag_ap": None, "val/loss": "val_masks"}  # see `pipeline.training`


def fit_segmenter(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    backbone: Backbone,
    network: MakeNetwork,
    loss: WeakLoss,
    masks: str | None,
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
    prior: float = 0.0,
    size: Sequence[int] | None = None,
    batch_size: int | None = None,
    maps: str | None = None,
    val_maps: str | None = None,
    val_masks: str | None = None,
    mirror: bool = False,
) -> dict[str, float]:
    """Train on all training images, `steps[i]` steps at `rates[i]`; leaves the whole model (see `SegmenterModule`).

    `masks`: folder of `<image_id>.png` in the data set's own indices, or of 0 and 1, for the losses that look at them.
    Ground truth is never opened. `size` (H, W) and `batch_size`: of the images that are trained on, None for those of
    `data`; images of their own sizes take batches of one. `maps`, `val_maps`: folders of `store_maps` stages, learned
    from in the place of images, with `mirror` an image's or its mirror image's; None for images. `val_masks`: made for
    the val images as `masks` were for the training images; then `val/loss` is the loss on images not trained on.
    """
    check_statistics(backbone, data.mean, data.std)
    images = replace(
        data,
        size=data.size if size is None else (size[0], size[1]),
        batch_size=data.batch_size if batch_size is None else batch_size,
        pseudo_masks=data.pseudo_masks if masks is None else masks,
        steps=sum(steps),
        workers=workers,
        seed=seed,
    )
    model = SegmenterModule(
        backbone=backbone,
        network=network,
        class_names=data.class_names,
        loss=loss,
        rates=rates,
        steps=steps,
        seed=seed,
        optimizer=optimizer,
        scheduler=scheduler,
        new_layers=new_layers,
        prior=prior,
    )
    source: LightningDataModule = images
    if maps is not None:
        source = stored_images(
            data,
            maps,
            val_maps,
            masks,
            _trunk(model).backbone,
            mirror=mirror,
            batch_size=images.batch_size,
            steps=sum(steps),
            seed=seed,
            layers=_trunk(model).layers,
            val_masks=val_masks,
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
        description="segmenter",
    )


def _trunk(model: SegmenterModule) -> DeepLabTrunk:
    if not isinstance(model.segmenter, DeepLabTrunk):
        raise InputError("Stored maps are read by heads on a trunk alone: take ablation=priors/frozen, or no maps.")
    return model.segmenter
