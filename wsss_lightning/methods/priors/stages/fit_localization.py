"""Stage: the localization network from tags (priors sec. 4.2.2)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pytorch_lightning.loggers import Logger
from torch.utils.data import DataLoader

from wsss_lightning.data.base import SegmentationDataModule, SegmentationDataset, Split
from wsss_lightning.data.steps import ImageSteps, StepData
from wsss_lightning.methods.priors.localization import LocalizationModule, Loss
from wsss_lightning.methods.priors.localization_network import LocalizationNetwork
from wsss_lightning.nn.backbones import Backbone, check_statistics, freeze, load_weights
from wsss_lightning.stages.fit import Callbacks, MakeTrainer, drop_checkpoint, fit
from wsss_lightning.stages.io import read_tensors, write_tensors

if TYPE_CHECKING:
    import albumentations as A

MakeNetwork = Callable[..., LocalizationNetwork]
_WEIGHTS = "localization.safetensors"


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
    callbacks: Callbacks = None,
) -> dict[str, float]:
    """Train a classifier of tags on all training images; writes its weights (see `read_localization`).

    `network`: one of `localization_network`, which takes `backbone` over; `augmentation`: of training images, to `size`
    (H, W) in px; held-out images are resized to it whole. `rates` and `steps`: of each phase.
    """
    check_statistics(backbone, data.mean, data.std)
    made = network(backbone, num_classes=data.num_classes, generator=torch.Generator().manual_seed(seed))
    shown = resized(data, "train", size, augmentation=augmentation, seed=seed)
    metrics = fit(
        out_dir=Path(out_dir),
        model=LocalizationModule(network=made, loss=loss, rates=rates, steps=steps),
        data=StepData(
            steps=lambda parts: ImageSteps(
                shown, batch_size=batch_size * parts, steps=sum(steps), seed=seed, packed=True
            ),
            held_out=DataLoader(resized(data, "val", size), batch_size=batch_size, num_workers=workers),
            workers=workers,
            seed=seed,
        ),
        inputs=None,
        trainer=trainer,
        callbacks=callbacks,
        loggers=loggers,
        checkpoint_every=checkpoint_every,
        progress=progress,
        description="localization network",
    )
    write_tensors(Path(out_dir) / _WEIGHTS, made.state_dict())
    drop_checkpoint(Path(out_dir))
    return metrics


def resized(
    data: SegmentationDataModule,
    split: Split,
    size: tuple[int, int],
    *,
    augmentation: "A.Compose | None" = None,
    seed: int = 0,
) -> SegmentationDataset:
    """Images and tags of a split at the localization network's own size, whatever `data.size` is."""
    return SegmentationDataset(
        data.records(split),
        encode=data.encode,
        size=(size[0], size[1]),
        mean=data.mean,
        std=data.std,
        augmentation=augmentation,
        seed=seed,
    )


def read_localization(
    folder: Path, *, backbone: Backbone, network: MakeNetwork, num_classes: int
) -> LocalizationNetwork:
    """The trained network of a finished stage, frozen; `backbone` and `network` are those it was made of."""
    made = network(backbone, num_classes=num_classes, generator=torch.Generator())
    load_weights(made, read_tensors(folder / _WEIGHTS), source=str(folder))
    freeze(made)
    return made
