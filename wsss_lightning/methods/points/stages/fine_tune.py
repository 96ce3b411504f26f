"""Stage: the backbone fine-tuned with the point classifier on sampled points (points sec. 3.3)."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning.loggers import Logger
from torch import distributed

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.steps import StepData, share
from wsss_lightning.errors import InputError
from wsss_lightning.methods.points.fine_tuning import FineTuningModule
from wsss_lightning.nn.optimisation import MakeOptimizer, Scheduler
from wsss_lightning.stages.fit import Callbacks, MakeTrainer, fit, inputs_of
from wsss_lightning.stages.io import read_tensors
from wsss_lightning.stages.predict import load_fitting

LOGS = {"train/loss": None}  # see `pipeline.training`


def fine_tune(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    points: str,
    classifier: str,
    rate: float,
    steps: int,
    images: int,
    seed: int,
    trainer: MakeTrainer,
    loggers: Mapping[str, Logger],
    workers: int,
    checkpoint_every: int,
    progress: bool,
    callbacks: Callbacks = None,
    optimizer: MakeOptimizer | None = None,
    scheduler: Scheduler | None = None,
    new_layers: float = 1.0,
) -> dict[str, float]:
    """Go on from the model `classifier` for `steps` steps of `images` images, all their points in the loss.

    Raises:
        InputError: images are not brought to one size, as on the maps of a frozen trunk.
    """
    if data.size is None:
        raise InputError("fine-tuning learns from several images at once: give the data a size=[H, W].")
    given = load_fitting(classifier, data)
    own: dict[str, Any] = {"backbone": given.backbone, "rate": rate, "new_layers": new_layers}
    own |= {"optimizer": optimizer, "scheduler": scheduler}
    model = FineTuningModule(**{**given.hparams, **own})
    model.load_state_dict(given.state_dict())
    return fit(
        out_dir=Path(out_dir),
        model=model,
        data=StepData(
            steps=lambda parts: LabelledImages(data, Path(points), total=steps, images=images * parts, seed=seed),
            workers=workers,
            seed=seed,
        ),
        inputs=inputs_of(data),
        trainer=_lenient(trainer),
        callbacks=callbacks,
        loggers=loggers,
        checkpoint_every=checkpoint_every,
        progress=progress,
        description="fine-tuning",
    )


def _lenient(trainer: MakeTrainer) -> MakeTrainer:
    """`trainer` for layers that learn nothing where several processes exchange gradients: those behind the features."""
    if not distributed.is_torchelastic_launched() or "strategy" in getattr(trainer, "keywords", {}):
        return trainer
    return partial(trainer, strategy="ddp_find_unused_parameters_true")


class LabelledImages:
    """A few training images a step with their points; every epoch is a permutation drawn from (seed, epoch)."""

    def __init__(self, data: SegmentationDataModule, points: Path, *, total: int, images: int, seed: int) -> None:
        self.dataset = data.dataset("train")
        self.tagged = np.flatnonzero([record.tags.any() for record in self.dataset.records])
        self.points, self.total, self.seed = points, total, seed
        self.images = self.batch_size = min(images, len(self.tagged))

    def __len__(self) -> int:
        return self.total

    def batch(self, step: int, *, rank: int, world: int) -> dict[str, Any]:
        """Images (N, 3, H, W) and, image by image, `locations` (P,) and `labels` (P,) of their points.

        `share`: images have different numbers of points, all of which count alike.
        """
        epoch, position = divmod(step, len(self.tagged) // self.images)
        order = np.random.default_rng([self.seed, epoch]).permutation(self.tagged)
        everyone = order[position * self.images :][: self.images]
        chosen = share(everyone, rank=rank, world=world).tolist()
        samples, stored = [self.dataset[index] for index in chosen], [self._points(index) for index in chosen]
        labels = [points["labels"] for points in stored]
        total = sum(len(self._points(index)["labels"]) for index in everyone) if world > 1 else sum(map(len, labels))
        return {
            "image": torch.stack([sample["image"] for sample in samples]),
            "locations": [points["locations"] for points in stored],
            "labels": labels,
            "share": torch.tensor(sum(map(len, labels)) * world / total),
        }

    def _points(self, index: int) -> dict[str, torch.Tensor]:
        return read_tensors(self.points / f"{self.dataset.records[index].image_id}.safetensors")
