"""Which images a training step sees: a function of (seed, step), never of a generator's history."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from wsss_lightning.data.samples import Pixels, Sample, collate
from wsss_lightning.errors import InputError


class Images(Protocol):
    """What `ImageSteps` needs of a dataset."""

    def __len__(self) -> int:
        """Number of images."""

    def at(self, index: int, *, step: int, packed: bool) -> Sample:
        """Image number `index`, augmented as a function of `step`; `packed`: see `data.samples.Pixels`."""


class ImageSteps(Dataset[Sample]):
    """Batches of images; every epoch is a permutation drawn from (seed, epoch).

    All batches are full: what a permutation leaves over is not seen in that epoch, and the next one draws another
    remainder. A data set smaller than a batch is one batch. Item `step` is the whole batch, so that
    `DataLoader(steps, batch_size=None)` prepares whole steps in its workers; steps beyond the last exist too.

    Args:
        dataset: the images.
        batch_size: images per step.
        seed: of the permutations.
        steps: how many there are; give these or `epochs`.
        epochs: how often the images are gone through.
        packed: leave images as `Pixels`, for a `StepLoader`.

    Raises:
        InputError: there are no images.
        ValueError: both or neither of `steps` and `epochs`.
    """

    def __init__(
        self,
        dataset: Images,
        *,
        batch_size: int,
        seed: int,
        steps: int | None = None,
        epochs: int | None = None,
        packed: bool = False,
    ) -> None:
        if not len(dataset):
            raise InputError("there is no image to train on: name a training list that is not empty.")
        self.dataset, self.seed, self.packed = dataset, seed, packed
        self.batch_size = min(batch_size, len(dataset))
        self.per_epoch = len(dataset) // self.batch_size
        self.total = _total(steps, epochs, per_epoch=self.per_epoch)
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def __len__(self) -> int:
        return self.total

    def __getitem__(self, step: int) -> Sample:
        return self.batch(step, rank=0, world=1)

    def batch(self, step: int, *, rank: int, world: int) -> Sample:
        """The images of `step` that process `rank` of `world` learns from."""
        chosen = share(self.indices(step), rank=rank, world=world)
        return collate([self.dataset.at(index, step=step, packed=self.packed) for index in chosen.tolist()])

    def indices(self, step: int) -> NDArray[np.int64]:
        """Which images the whole batch of `step` holds, (batch_size,)."""
        epoch, position = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, np.random.default_rng([self.seed, epoch]).permutation(len(self.dataset))
        return self._order[position * self.batch_size :][: self.batch_size]


class StepLoader(DataLoader[Sample]):
    """Batches that loading processes prepare and this one finishes: what was left as `Pixels` is normalised here."""

    def __iter__(self) -> Any:
        """Batches in the order of the steps."""
        for batch in super().__iter__():
            yield {name: value.finished() if isinstance(value, Pixels) else value for name, value in batch.items()}


class EachEpoch(Sampler[int]):
    """The steps of epoch 0, then, gone through again, those of epoch 1, and so on.

    `set_epoch` is what Lightning calls before an epoch, so that a resumed run does not start from the first again.
    """

    def __init__(self, per_epoch: int) -> None:
        self.per_epoch, self.epoch = per_epoch, 0

    def __len__(self) -> int:
        return self.per_epoch

    def __iter__(self) -> Iterator[int]:
        # Counted at the first step: a loader with workers makes two iterators and takes steps from one of them.
        first = self.epoch * self.per_epoch
        self.epoch += 1
        yield from range(first, first + self.per_epoch)

    def set_epoch(self, epoch: int) -> None:
        """Go through this epoch next."""
        self.epoch = epoch


def share(indices: Any, *, rank: int, world: int) -> Any:
    """The part of a batch's indices that one of `world` processes takes; every process must get some.

    Raises:
        InputError: there are fewer indices than processes.
    """
    if len(indices) < world:
        raise InputError(f"A batch of {len(indices)} cannot be shared by {world} devices: set trainer.devices=1.")
    return indices[rank::world]


def _total(steps: int | None, epochs: int | None, *, per_epoch: int) -> int:
    if steps is not None and epochs is None:
        return steps
    if epochs is not None and steps is None:
        return epochs * per_epoch
    raise ValueError("give either the number of steps or that of epochs")
