"""Localizers on several devices: each trains classes of its own, to the same bits as one device would."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from pytorch_lightning.loggers import Logger
from torch import distributed

from wsss_lightning import models
from wsss_lightning.atomic import with_nan
from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.classes import with_classes
from wsss_lightning.errors import InputError
from wsss_lightning.methods.points.localizer_module import LocalizerModule, joined
from wsss_lightning.methods.points.stages.features import Stored, opened
from wsss_lightning.methods.points.stages.localizer_data import held_out_images
from wsss_lightning.stages.fit import MakeTrainer, inputs_of, make_trainer, quiet
from wsss_lightning.stages.io import read_json, write_json

_PARTS, _METRICS = "parts", "metrics.json"


class Train(Protocol):
    """Trains the localizers of all classes of `data` on one device, and leaves the whole model in `folder`."""

    def __call__(
        self,
        data: SegmentationDataModule,
        *,
        folder: Path,
        trainer: MakeTrainer,
        loggers: Mapping[str, Logger],
        held_out: bool,
    ) -> dict[str, float]:
        """Its metrics; those of `held_out` images, too, if they are wanted."""


def share_classes(
    train: Train,
    data: SegmentationDataModule,
    *,
    features: Stored,
    folder: Path,
    trainer: MakeTrainer,
    loggers: Mapping[str, Logger],
) -> dict[str, float]:
    """`train` for all classes of `data`, by every process of a group for some of them.

    Raises:
        InputError: there are fewer classes than processes.
    """
    with _process_group() as (rank, world):
        if world == 1:
            return train(data, folder=folder, trainer=trainer, loggers=loggers, held_out=True)
        own, loggers = _of_one_device(trainer), loggers if rank == 0 else {}
        train_share(train, data, folder=folder, trainer=own, loggers=loggers, rank=rank, world=world)
        distributed.barrier()
        if rank > 0:
            return {}
        model, metrics = join_shares(data, folder=folder, world=world)
        return metrics | validate(model, data, features=features, trainer=own)


def train_share(
    train: Train,
    data: SegmentationDataModule,
    *,
    folder: Path,
    trainer: MakeTrainer,
    loggers: Mapping[str, Logger],
    rank: int,
    world: int,
) -> None:
    """Train the classes rank, rank + world, ... into a folder of their own."""
    if world > data.num_classes:
        raise InputError(f"{data.num_classes} localizers cannot be shared by {world} devices: ask for fewer devices.")
    part = _part(folder, rank)
    if not (part / _METRICS).exists():
        own = with_classes(data=data, classes=data.class_names[rank::world])
        write_json(part / _METRICS, train(own, folder=part, trainer=trainer, loggers=loggers, held_out=False))


def join_shares(data: SegmentationDataModule, *, folder: Path, world: int) -> tuple[LocalizerModule, dict[str, float]]:
    """Leave the localizers of all processes in `folder` as one model; their metrics are the mean over the processes."""
    parts: list[Any] = [models.load(_part(folder, rank)) for rank in range(world)]
    metrics = [with_nan(read_json(_part(folder, rank) / _METRICS)) for rank in range(world)]
    model = joined(parts, data.class_names)
    models.save(model, folder, inputs=inputs_of(data))
    shutil.rmtree(folder / _PARTS)
    return model, {name: sum(each[name] for each in metrics) / world for name in metrics[0]}


def validate(
    model: LocalizerModule, data: SegmentationDataModule, *, features: Stored, trainer: MakeTrainer
) -> dict[str, float]:
    """What training tells of held-out images where one device has all classes."""
    with quiet():
        runner = make_trainer(trainer, callbacks=[], logger=[], folder=Path())
        runner.validate(model, held_out_images(opened(features), data), verbose=False)
    return {name: float(value) for name, value in runner.callback_metrics.items()}


def _part(folder: Path, rank: int) -> Path:
    return folder / _PARTS / str(rank)


@contextmanager
def _process_group() -> Iterator[tuple[int, int]]:
    """Number of this process and of all, which wait for each other at the end; 0 of 1 outside of a group."""
    if not distributed.is_torchelastic_launched():
        yield 0, 1
        return
    distributed.init_process_group("gloo", timeout=timedelta(days=30))
    yield distributed.get_rank(), distributed.get_world_size()
    distributed.barrier()
    distributed.destroy_process_group()


def _of_one_device(trainer: MakeTrainer) -> MakeTrainer:
    """`trainer` on the device of this process alone."""
    trainer = partial(trainer, num_nodes=1)
    given: Mapping[str, Any] = getattr(trainer, "keywords", {})
    accelerator, devices = given.get("accelerator", "auto"), given.get("devices", 1)
    if not (accelerator in {"gpu", "cuda"} or (accelerator == "auto" and torch.cuda.is_available())):
        return partial(trainer, devices=1)
    numbers = devices if isinstance(devices, list) else range(devices)
    return partial(trainer, devices=[numbers[int(os.environ["LOCAL_RANK"])]])
