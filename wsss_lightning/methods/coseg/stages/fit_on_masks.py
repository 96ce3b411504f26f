"""Stage: a segmenter from rough masks, the mask generator or the final network (coseg secs. 3.2, 3.3 and 4.2)."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger
from torch.utils.data import DataLoader

from wsss_lightning import models
from wsss_lightning.data.base import Record, SegmentationDataModule, SegmentationDataset
from wsss_lightning.data.pseudo_masks import with_pseudo_masks
from wsss_lightning.data.steps import ImageSteps, StepData
from wsss_lightning.data.stored_maps import MapDataset, MapSteps, StoredMaps, as_lists
from wsss_lightning.errors import InputError
from wsss_lightning.lifetime import begin_loading
from wsss_lightning.methods.coseg.frozen_segmenter import FrozenCosegModule
from wsss_lightning.methods.coseg.network import Branch
from wsss_lightning.methods.coseg.segmenter import CosegModule, MakeNetwork, MaskLoss
from wsss_lightning.model_files import WEIGHTS
from wsss_lightning.nn.backbones import Backbone, check_statistics
from wsss_lightning.nn.optimisation import MakeOptimizer, Scheduler
from wsss_lightning.nn.states import load_weights
from wsss_lightning.nn.trunk import Trunk, Variant, input_size, variants
from wsss_lightning.stages.fit import Callbacks, MakeTrainer, fit, inputs_of
from wsss_lightning.stages.io import read_tensors

if TYPE_CHECKING:
    import albumentations as A

SNAPSHOTS = "snapshots"
_HELD_OUT = 8  # images of a batch of those that are held out
LOGS = {"train/loss": None, "val/tag_ap": None}  # see `pipeline.training`


def fit_on_masks(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    held_out: SegmentationDataModule,
    backbone: Backbone,
    network: MakeNetwork,
    branch: Branch | None,
    start: str | None,
    masks: str,
    augmentation: "A.Compose | None",
    loss: MaskLoss,
    batch_size: int,
    rates: Sequence[float],
    steps: Sequence[int],
    snapshot_every: int | None,
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
    maps: str | None = None,
    val_maps: str | None = None,
) -> dict[str, float]:
    """Train a `CosegModule` on the training images of `data` that have a mask, `steps[i]` steps at `rates[i]`.

    `held_out`: the data set whose val tags, not masks, say how well it goes; `start`: folder of a model whose weights
    to go on from; `masks`: folder of `<image_id>.png` in the data set's own indices, the only masks that are opened;
    `snapshot_every`: keep the model after every so many steps, for `choose_snapshot`; `maps`, `val_maps`: folders of
    `store_maps` stages of the images of `data` and `held_out`, of which a `FrozenCosegModule` learns in their place.
    """
    if data.class_names != held_out.class_names:
        raise InputError(
            f"The classes that masks are made of are {', '.join(data.class_names)}, those of {held_out.root} are "
            f"{', '.join(held_out.class_names)}: choose a source of the same classes, or set source.classes."
        )
    check_statistics(backbone, data.mean, data.std)
    folder, inputs = Path(out_dir), inputs_of(data)
    segmenter = (CosegModule if maps is None else FrozenCosegModule)(
        backbone=backbone,
        network=network,
        branch=branch,
        num_classes=data.num_classes,
        loss=loss,
        rates=rates,
        steps=steps,
        seed=seed,
        optimizer=optimizer,
        scheduler=scheduler,
        new_layers=new_layers,
    )
    if start is not None:
        load_weights(segmenter, read_tensors(Path(start) / WEIGHTS), source=start)
    kept = {} if snapshot_every is None else {SNAPSHOTS: _Snapshots(folder / SNAPSHOTS, inputs, every=snapshot_every)}
    images = with_pseudo_masks(data.records("train"), Path(masks), missing="drop")
    learned: Any = partial(ImageSteps, _crops(images, data, augmentation, seed=seed), packed=True)
    shown: DataLoader[Any] = DataLoader(held_out.dataset("val"), num_workers=workers, worker_init_fn=begin_loading)
    if maps is not None and val_maps is not None:
        learned = partial(MapSteps, _stored(images, data, maps, segmenter, seed=seed))
        shown = _stored_val(held_out, val_maps)
    metrics = fit(
        out_dir=folder,
        model=segmenter,
        data=StepData(
            steps=lambda parts: learned(batch_size=batch_size * parts, seed=seed, steps=sum(steps)),
            held_out=shown,
            workers=workers,
            seed=seed,
        ),
        inputs=inputs,
        trainer=trainer,
        callbacks={**(callbacks or {}), **kept},
        loggers=loggers,
        checkpoint_every=checkpoint_every,
        progress=progress,
        description="segmenter",
    )
    return metrics | {"train/images": float(len(images))}


def _crops(
    records: Sequence[Record], data: SegmentationDataModule, augmentation: "A.Compose | None", *, seed: int
) -> SegmentationDataset:
    return SegmentationDataset(
        records, encode=data.encode, mean=data.mean, std=data.std, with_masks=True, augmentation=augmentation, seed=seed
    )


def read_snapshots(folder: Path) -> list[Path]:
    """Folders of the models that a stage kept, in the order of their steps."""
    return sorted(path for path in (folder / SNAPSHOTS).glob("*") if path.name.isdigit())


def _stored(
    records: Sequence[Record], data: SegmentationDataModule, maps: str, segmenter: CosegModule, *, seed: int
) -> MapDataset:
    """Whole images and their mirror images, as stored maps with masks."""
    trunk: Trunk = segmenter.network.trunk
    return MapDataset(
        StoredMaps(Path(maps)),
        records,
        variants=[variant.name for variant in variants([1.0], mirror=True)],
        encode=data.encode,
        image_size=partial(input_size, corners=trunk.corners),
        period=trunk.stride,
        corners=trunk.corners,
        seed=seed,
    )


def _stored_val(data: SegmentationDataModule, maps: str) -> DataLoader[Any]:
    images = MapDataset(StoredMaps(Path(maps)), data.records("val"), variants=[Variant().name])
    return DataLoader(images, batch_size=_HELD_OUT, collate_fn=as_lists)


class _Snapshots(pl.Callback):
    """Keeps the model as a folder of its own after every so many steps."""

    def __init__(self, folder: Path, inputs: models.Inputs, *, every: int) -> None:
        self.folder, self.inputs, self.every = folder, inputs, every

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *arguments: Any) -> None:
        *_, index = arguments
        stepped = (index + 1) % trainer.accumulate_grad_batches == 0
        if stepped and trainer.global_step % self.every == 0 and trainer.is_global_zero:
            models.save(pl_module, self.folder / f"{trainer.global_step:06d}", inputs=self.inputs)
