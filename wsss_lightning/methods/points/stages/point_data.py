"""What the point classifier is trained on: sampled points, all of them in memory."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wsss_lightning.data.steps import StepData, share
from wsss_lightning.stages.io import read_tensors


class PointBank:
    """All labelled points in memory: own features (P, D), label (P,), image (P,) into global vectors (N, G).

    `image_ids`: names of the images, if they are known.
    """

    def __init__(
        self, *, features: Tensor, labels: Tensor, images: Tensor, pooled: Tensor, image_ids: Sequence[str] = ()
    ) -> None:
        self.features, self.labels, self.images, self.pooled = features, labels, images, pooled
        self.image_ids = image_ids

    @classmethod
    def read(
        cls, folders: Sequence[Path], *, global_features: bool, image_ids: Sequence[str] | None = None
    ) -> "PointBank":
        """Collect the files of `sample` stages, an image's from the last that has it; G is 0 if not wanted.

        `image_ids`: those that have points; None for whichever are there.
        """
        paths = _paths(folders, image_ids)
        files = [read_tensors(path) for path in paths]
        counts = torch.tensor([len(file["labels"]) for file in files])
        pooled = torch.cat([file["pooled"] for file in files])
        return cls(
            features=torch.cat([file["features"] for file in files]),
            labels=torch.cat([file["labels"] for file in files]),
            images=torch.repeat_interleave(torch.arange(len(files)), counts),
            pooled=pooled if global_features else pooled[:, :0],
            image_ids=[path.stem for path in paths],
        )


def _paths(folders: Sequence[Path], image_ids: Sequence[str] | None) -> list[Path]:
    """A file for each image, in the order of their names."""
    if image_ids is None:
        paths = {path.name: path for folder in folders for path in folder.glob("[!.]*.safetensors")}
        return [path for _, path in sorted(paths.items())]
    names = sorted(f"{image_id}.safetensors" for image_id in image_ids)
    return [
        next((folder / name for folder in reversed(folders[1:]) if (folder / name).exists()), folders[0] / name)
        for name in names
    ]


class PointData(StepData):
    """Batches of points for `PointClassifierModule`; every epoch is a permutation drawn from (seed, epoch).

    Args:
        bank: the points.
        batch_size: points of a step.
        steps: optimiser steps; None for `epochs`.
        epochs: how often all points are gone through.
        seed: of the order.
        workers: loading processes.
    """

    def __init__(
        self, bank: PointBank, *, batch_size: int, steps: int | None, epochs: int = 1, seed: int = 0, workers: int = 0
    ) -> None:
        total = steps if steps is not None else epochs * -(-len(bank.labels) // batch_size)
        super().__init__(
            steps=lambda parts: PointSteps(bank, total=total, batch_size=batch_size * parts, seed=seed),
            workers=workers,
            seed=seed,
        )


class PointSteps:
    """See `PointData`."""

    def __init__(self, bank: PointBank, *, total: int, batch_size: int, seed: int) -> None:
        self.bank, self.total, self.seed = bank, total, seed
        self.batch_size = min(batch_size, len(bank.labels))
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def __len__(self) -> int:
        return self.total

    def batch(self, step: int, *, rank: int, world: int) -> dict[str, Any]:
        """Points of one step; what is left of an epoch's permutation beyond full batches waits for the next one."""
        epoch, position = divmod(step, len(self.bank.labels) // self.batch_size)
        if epoch != self._epoch:
            generator = np.random.default_rng([self.seed, epoch])
            self._epoch, self._order = epoch, generator.permutation(len(self.bank.labels))
        chosen = share(self._order[position * self.batch_size :][: self.batch_size], rank=rank, world=world)
        rows = torch.from_numpy(chosen)
        pooled = self.bank.pooled[self.bank.images[rows]]
        images = np.unique(self.bank.images[rows].cpu().numpy()).tolist() if self.bank.image_ids else []
        points = {"features": self.bank.features[rows].float(), "labels": self.bank.labels[rows], "pooled": pooled}
        return {**points, "image_id": [self.bank.image_ids[image] for image in images]}
