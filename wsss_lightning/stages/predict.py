"""Inference on all images of a split: in batches, on as many devices as there are, written beside the computing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from wsss_lightning import models
from wsss_lightning.data.base import SegmentationDataModule, Split
from wsss_lightning.data.labels import Mask
from wsss_lightning.data.masks import write_mask
from wsss_lightning.data.samples import collate
from wsss_lightning.data.steps import OwnShare, on_cuda
from wsss_lightning.data.stored_maps import SizedMaps, StoredMaps, as_lists
from wsss_lightning.errors import InputError
from wsss_lightning.lifetime import begin_loading
from wsss_lightning.nn.description import build, describe
from wsss_lightning.nn.prediction import Prediction, ProbabilityReading
from wsss_lightning.progress import display
from wsss_lightning.stages.fit import MakeTrainer, inputs_of, make_whole_trainer, quiet
from wsss_lightning.stages.io import read_json, read_tensors, write_json, write_tensors

_READING, _READING_TENSORS = "reading.json", "reading.safetensors"


def predict(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    model: str,
    split: Split,
    trainer: MakeTrainer,
    workers: int,
    progress: bool,
    stored_maps: str | None = None,
) -> None:
    """Label every pixel of the images of `split` with the model of a `fit` stage; tags are not used.

    `stored_maps`: folder of a `store_maps` stage that a head on a frozen trunk looks at in the place of images.

    Writes `masks/<image_id>.png` at the image's own size, in the data set's own indices, and what `read_probabilities`
    reads: `scores/<image_id>.safetensors`, which is all that the labels are made of.
    """
    write_predictions(
        load_fitting(model, data),
        data.dataset(split) if stored_maps is None else SizedMaps(StoredMaps(Path(stored_maps)), data.records(split)),
        folder=Path(out_dir),
        decode=data.decode,
        keep=True,
        batch_size=data.inference_batch_size,
        trainer=trainer,
        workers=workers,
        progress=progress,
        description=f"predictions, {split}",
        together=collate if stored_maps is None else as_lists,
    )


def load_fitting(folder: str, data: SegmentationDataModule) -> pl.LightningModule:
    """The model of a `fit` stage, frozen and in evaluation mode.

    Raises:
        InputError: its classes are not those of `data`, or it learned from images that were normalised otherwise.
    """
    learned, given = models.read_inputs(folder), inputs_of(data)
    for name in ("class_names", "mean", "std"):
        if list(getattr(learned, name)) != list(getattr(given, name)):
            raise InputError(
                f"The model of {folder} was trained with {name}={list(getattr(learned, name))}, but the data has "
                f"{list(getattr(given, name))}: use the data's settings that it was trained with."
            )
    return models.load(folder)


def write_predictions(
    model: pl.LightningModule,
    images: Any,
    *,
    folder: Path,
    decode: Callable[[Mask], Mask] | None,
    keep: bool,
    batch_size: int,
    trainer: MakeTrainer,
    workers: int,
    progress: bool,
    description: str,
    together: Callable[[Sequence[Any]], Any] = collate,
) -> None:
    """`Trainer.predict` of a model whose `predict_step` returns a list of `Prediction`; see `predict`.

    With `keep` the probabilities, too, can be read; the model's `reading` says how, from what is stored of an image
    and of all images (`reading_tensors`, if the model has any). Without `decode` they are all that is written. Images
    whose mask, or else whose probabilities are there are skipped.
    """
    path = _scores_path if decode is None else _mask_path
    if keep:
        write_json(folder / _READING, describe(model.reading))
        write_tensors(folder / _READING_TENSORS, dict(getattr(model, "reading_tensors", {})))
    infer(
        model,
        without(images, [path(folder, record.image_id) for record in images.records]),
        write=partial(_write, folder=folder, decode=decode, keep=keep),
        batch_size=batch_size,
        trainer=trainer,
        workers=workers,
        progress=progress,
        description=description,
        together=together,
    )


def _write(prediction: Prediction, *, folder: Path, decode: Callable[[Mask], Mask] | None, keep: bool) -> None:
    if keep:
        write_tensors(_scores_path(folder, prediction.image_id), prediction.stored)
    if decode is not None:
        labels = prediction.labels.cpu().numpy().astype(np.uint8)
        write_mask(_mask_path(folder, prediction.image_id), decode(labels))


def _mask_path(folder: Path, image_id: str) -> Path:
    return folder / "masks" / f"{image_id}.png"


def _scores_path(folder: Path, image_id: str) -> Path:
    return folder / "scores" / f"{image_id}.safetensors"


def read_probabilities(folder: Path, image_id: str, size: tuple[int, int]) -> Tensor:
    """Probabilities (L, *size) of one image of a `predict` stage that kept them."""
    reading: ProbabilityReading = build(read_json(folder / _READING))
    stored = read_tensors(_scores_path(folder, image_id))
    with torch.inference_mode():
        return reading(read_tensors(folder / _READING_TENSORS) | stored, size)


def without(images: Dataset[Any], paths: Sequence[Path]) -> Dataset[Any]:
    """The images, in their order, whose path does not exist yet."""
    return Subset(images, [index for index, path in enumerate(paths) if not path.exists()])


def infer(
    model: pl.LightningModule,
    images: Dataset[Any],
    *,
    write: Callable[[Any], None],
    batch_size: int,
    trainer: MakeTrainer,
    workers: int,
    progress: bool,
    description: str,
    together: Callable[[Sequence[Any]], Any] = collate,
) -> None:
    """`Trainer.predict` over images, each on one device; a thread calls `write` with each item of a step's list.

    `together` makes a batch of items. Which images share a batch depends on their order alone: a network may give other
    last bits where more or fewer stand beside an image. So devices share whole batches, and one of which a killed run
    left some images is computed once more.

    Raises:
        InputError: images would be, or were, left out: `limit_predict_batches`, or a callback that stops the trainer.
    """
    writer = _Writer(write, total=len(images), progress=progress, description=description)  # type: ignore[arg-type]
    model.allow_zero_length_dataloader_with_multiple_devices = True  # more devices than images that are left
    with quiet():
        runner = make_whole_trainer(trainer, callbacks=[writer], folder=Path())
        if runner.limit_predict_batches != 1.0:
            raise InputError(f"limit_predict_batches={runner.limit_predict_batches} leaves images out: do not set it.")
        batches = _Batches(images, size=batch_size, together=together)
        loader = DataLoader(
            batches,
            batch_size=None,
            sampler=OwnShare(batches, trainer=runner),
            num_workers=workers,
            worker_init_fn=begin_loading,
            pin_memory=on_cuda(runner),
            collate_fn=_unchanged,
        )
        runner.predict(model, loader, return_predictions=False)
        runner.strategy.barrier()


class _Batches(Dataset[Any]):
    """Batches of a data set in its order, those that hold one of a `Subset` of it."""

    def __init__(self, images: Dataset[Any], *, size: int, together: Callable[[Sequence[Any]], Any]) -> None:
        subset = images if isinstance(images, Subset) else Subset(images, range(len(images)))  # type: ignore[arg-type]
        self.images, self.together = subset.dataset, together
        self.size, self.count = size, len(self.images)  # type: ignore[arg-type]
        self.numbers = sorted({index // size for index in subset.indices})

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> Any:
        start = self.numbers[index] * self.size
        return self.together([self.images[each] for each in range(start, min(start + self.size, self.count))])


def _unchanged(batch: Any) -> Any:
    return batch


class _Writer(Callback):
    """Hands what a step predicts to a thread that writes it, a few steps behind at most."""

    def __init__(self, write: Callable[[Any], None], *, total: int, progress: bool, description: str) -> None:
        self.write, self.description = write, description
        self.bar = display(progress)
        self.task = self.bar.add_task(description, total=total)
        self.threads = ThreadPoolExecutor(max_workers=1)
        self.waiting: list[Future[None]] = []
        self.seen = 0  # batches
        self.looked_at = 0  # images, of all devices

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        if trainer.is_global_zero:
            self.bar.start()

    def on_predict_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, *arguments: Any) -> None:  # noqa: ARG002
        self.seen += 1
        self.waiting += [self.threads.submit(self.write, each) for each in outputs]
        self.looked_at += len(outputs) * trainer.world_size
        self.bar.report(self.task, self.looked_at)
        self._wait(most=_BEHIND)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self._wait(most=0)
        self.bar.stop()
        count = len(trainer.predict_dataloaders)  # type: ignore[arg-type]
        if self.seen < count:
            raise InputError(f"{self.description}: only {self.seen} of {count} batches were looked at; run it again.")

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:  # noqa: ARG002
        self.threads.shutdown(cancel_futures=True)
        self.bar.stop()

    def _wait(self, *, most: int) -> None:
        while len(self.waiting) > most:
            self.waiting.pop(0).result()


_BEHIND = 16  # images that may wait to be written
