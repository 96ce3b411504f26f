"""Stage: the backbone fine-tuned with the point classifier on sampled points (points sec. 3.3)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning.loggers import Logger

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.steps import StepData, share
from wsss_lightning.methods.points.fine_tuning import FineTuningModule
from wsss_lightning.methods.points.stages.features import FeatureStore
from wsss_lightning.methods.points.stages.fit_classifier import read_classifier
from wsss_lightning.nn.backbones import Backbone, check_statistics, freeze, load_weights
from wsss_lightning.stages.fit import Callbacks, MakeTrainer, drop_checkpoint, fit
from wsss_lightning.stages.io import read_tensors, write_tensors

_BACKBONE = "backbone.safetensors"


def fine_tune(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    backbone: Backbone,
    features: str,
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
) -> dict[str, float]:
    """Go on from a trained classifier for `steps` steps of `images` images, all their points in the loss.

    Writes `backbone.safetensors` (see `tuned_backbone`) and the classifier as `fit_classifier` does.
    """
    check_statistics(backbone, data.mean, data.std)
    network = read_classifier(Path(classifier))
    grid = FeatureStore(Path(features)).grid()
    metrics = fit(
        out_dir=Path(out_dir),
        model=FineTuningModule(backbone=backbone, classifier=network, grid=grid, rate=rate),
        data=StepData(
            steps=lambda parts: _LabelledImages(data, Path(points), total=steps, images=images * parts, seed=seed),
            held_out=None,
            workers=workers,
            seed=seed,
        ),
        inputs=None,
        trainer=trainer,
        callbacks=callbacks,
        loggers=loggers,
        checkpoint_every=checkpoint_every,
        progress=progress,
        description="fine-tuning",
    )
    write_tensors(Path(out_dir) / _BACKBONE, backbone.state_dict())
    write_tensors(Path(out_dir) / "classifier.safetensors", network.state_dict())  # what `read_classifier` reads
    drop_checkpoint(Path(out_dir))
    return metrics


def tuned_backbone(*, network: Backbone, folder: str) -> Backbone:
    """`network` with the weights that a finished stage trained."""
    load_weights(network, read_tensors(Path(folder) / _BACKBONE), source=folder)
    freeze(network)
    return network


class _LabelledImages:
    """A few training images a step with their points; every epoch is a permutation drawn from (seed, epoch)."""

    def __init__(self, data: SegmentationDataModule, points: Path, *, total: int, images: int, seed: int) -> None:
        self.dataset = data.dataset("train")
        self.tagged = np.flatnonzero([record.tags.any() for record in self.dataset.records])
        self.points, self.total, self.seed = points, total, seed
        self.images = self.batch_size = min(images, len(self.tagged))

    def __len__(self) -> int:
        return self.total

    def batch(self, step: int, *, rank: int, world: int) -> dict[str, Any]:
        """Images (N, 3, H, W) and, image by image, `locations` (P,) and `labels` (P,) of their points."""
        epoch, position = divmod(step, len(self.tagged) // self.images)
        order = np.random.default_rng([self.seed, epoch]).permutation(self.tagged)
        chosen = share(order[position * self.images :][: self.images], rank=rank, world=world)
        samples = [self.dataset[index] for index in chosen.tolist()]
        stored = [read_tensors(self.points / f"{sample['image_id']}.safetensors") for sample in samples]
        return {
            "image": torch.stack([sample["image"] for sample in samples]),
            "locations": [points["locations"] for points in stored],
            "labels": [points["labels"] for points in stored],
        }
