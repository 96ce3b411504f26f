"""Stage: a segmenter from rough masks, the mask generator or the final network (coseg secs. 3.2, 3.3 and 4.2)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger
from torch.utils.data import DataLoader

from wsss_lightning import models
from wsss_lightning.data.base import SegmentationDataModule, SegmentationDataset
from wsss_lightning.data.pseudo_masks import with_pseudo_masks
from wsss_lightning.data.steps import ImageSteps, StepData
from wsss_lightning.errors import InputError
from wsss_lightning.methods.coseg.network import Branch
from wsss_lightning.methods.coseg.segmenter import CosegModule, MakeNetwork, MaskLoss
from wsss_lightning.nn.backbones import Backbone, check_statistics
from wsss_lightning.nn.optimisation import MakeOptimizer, Scheduler
from wsss_lightning.nn.states import load_weights
from wsss_lightning.stages.fit import Callbacks, MakeTrainer, fit, inputs_of
from wsss_lightning.stages.io import read_tensors

if TYPE_CHECKING:
    import albumentations as A

SNAPSHOTS = "snapshots"


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
    augmentation: "A.Compose",
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
) -> dict[str, float]:
    """Train a `CosegModule` on the training images of `data` that have a mask, `steps[i]` steps at `rates[i]`.

    `held_out`: the data set whose val tags, not masks, say how well it goes; `start`: folder of a model whose weights
    to go on from; `masks`: folder of `<image_id>.png` in the data set's own indices, the only masks that are opened;
    `snapshot_every`: keep the model after every so many steps, for `choose_snapshot`.
    """
    if data.class_names != held_out.class_names:
        raise InputError(
            f"The classes that masks are made of are {', '.join(data.class_names)}, those of {held_out.root} are "
            f"{', '.join(held_out.class_names)}: choose a source of the same classes, or set source.classes."
        )
    check_statistics(backbone, data.mean, data.std)
    folder, inputs = Path(out_dir), inputs_of(data)
    segmenter = CosegModule(
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
        load_weights(segmenter, read_tensors(Path(start) / models.WEIGHTS), source=start)
    images = masked_dataset(data, Path(masks), augmentation, seed=seed)
    kept = {} if snapshot_every is None else {SNAPSHOTS: _Snapshots(folder / SNAPSHOTS, inputs, every=snapshot_every)}
    metrics = fit(
        out_dir=folder,
        model=segmenter,
        data=StepData(
            steps=lambda parts: ImageSteps(
                images, batch_size=batch_size * parts, seed=seed, steps=sum(steps), packed=True
            ),
            held_out=DataLoader(held_out.dataset("val"), num_workers=workers),
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


def masked_dataset(
    data: SegmentationDataModule, masks: Path, augmentation: "A.Compose", *, seed: int
) -> SegmentationDataset:
    """The training images that have a mask in a folder, with it in place of the ground truth."""
    return SegmentationDataset(
        with_pseudo_masks(data.records("train"), masks, missing="drop"),
        encode=data.encode,
        mean=data.mean,
        std=data.std,
        with_masks=True,
        augmentation=augmentation,
        seed=seed,
    )


def read_snapshots(folder: Path) -> list[Path]:
    """Folders of the models that a stage kept, in the order of their steps."""
    return sorted(path for path in (folder / SNAPSHOTS).glob("*") if path.name.isdigit())


class _Snapshots(pl.Callback):
    """Keeps the model as a folder of its own after every so many steps."""

    def __init__(self, folder: Path, inputs: models.Inputs, *, every: int) -> None:
        self.folder, self.inputs, self.every = folder, inputs, every

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *arguments: Any) -> None:
        *_, index = arguments
        stepped = (index + 1) % trainer.accumulate_grad_batches == 0
        if stepped and trainer.global_step % self.every == 0 and trainer.is_global_zero:
            models.save(pl_module, self.folder / f"{trainer.global_step:06d}", inputs=self.inputs)
