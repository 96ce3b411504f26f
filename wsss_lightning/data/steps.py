"""Which images a training step sees: a function of (seed, step), never of a generator's history."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import LightningDataModule
from pytorch_lightning.accelerators import CUDAAccelerator
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from wsss_lightning.data.samples import Pixels, Sample, collate
from wsss_lightning.errors import InputError
from wsss_lightning.lifetime import begin_loading

if TYPE_CHECKING:
    import pytorch_lightning as pl


class Steps(Protocol):
    """All batches of a training run: a function of the step, never of a generator's history."""

    batch_size: int  # of a whole step, all processes and accumulated parts together

    def __len__(self) -> int:
        """Number of optimiser steps."""

    def batch(self, step: int, *, rank: int, world: int) -> Sample:
        """Part `rank` of `world` of what optimiser step `step` learns from; together the parts are the whole batch."""


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
        if (steps is None) == (epochs is None):
            raise ValueError("give either the number of steps or that of epochs")
        self.total = (epochs or 0) * self.per_epoch if steps is None else steps
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
    """Batches that loading processes prepare and this one finishes: what was left as `Pixels` is normalised here.

    For a GPU they stay `Pixels`, a fourth of the bytes, in pinned memory, and `finished_batch` normalises them there.
    """

    @classmethod
    def of(cls, steps: Steps, *, trainer: pl.Trainer | None, workers: int) -> StepLoader:
        """What this process of a `trainer` learns from; without one, that of a single process.

        Optimiser step t sees `steps.batch(t)`, shared among the processes and among the batches that the trainer
        accumulates. That holds whatever Lightning calls an epoch, and goes on in a run that was resumed after a step.
        One time through has `len(steps)` optimiser steps; the next one goes on behind them.
        """
        batches = _Batches(steps, trainer)
        return cls(
            batches,
            batch_size=None,
            sampler=_FromStep(batches, trainer=trainer),
            num_workers=workers,
            worker_init_fn=begin_loading,
            persistent_workers=workers > 0,
            pin_memory=on_cuda(trainer),
            generator=torch.Generator(),  # torch's global one stays as it is
        )

    def __iter__(self) -> Any:
        """Batches in the order of the steps.

        Of several that a step accumulates each has `step_masks`, the masks of all of them that this process sees.
        """
        batches = super().__iter__()
        while step := list(islice(batches, getattr(self.dataset, "parts", 1))):
            masks = {"step_masks": [batch["mask"] for batch in step]} if len(step) > 1 and "mask" in step[0] else {}
            for batch in step:
                yield masks | (batch if self.pin_memory else finished_batch(batch))

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the trainer's step tells what comes next. That it is there tells Lightning that this resumes."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `state_dict`."""


class StepData(LightningDataModule):
    """Steps of a method's own kind as a data module.

    Args:
        steps: makes them, given how many batches a step accumulates, so many times as large each is.
        held_out: batches for `validation_step`; None for none.
        workers: loading processes; no result depends on it.
        seed: of what torch's generators draw in a step, dropout for one: a function of (seed, step, process).
    """

    def __init__(
        self, *, steps: Callable[[int], Steps], held_out: DataLoader[Any] | None = None, workers: int = 0, seed: int = 0
    ) -> None:
        super().__init__()
        self.steps, self.held_out, self.workers, self.seed = steps, held_out, workers, seed

    def train_dataloader(self) -> StepLoader:
        """See `StepLoader`."""
        return StepLoader.of(self.steps(accumulated(self.trainer)), trainer=self.trainer, workers=self.workers)

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """What is held out."""
        return [] if self.held_out is None else self.held_out

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:  # noqa: ARG002
        seed_step(self.trainer, self.seed)
        return batch

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:  # noqa: ARG002
        return finished_batch(batch)


def on_cuda(trainer: pl.Trainer | None) -> bool:
    """Whether batches of this trainer go to a GPU of NVIDIA's or AMD's, which reads pinned memory by itself."""
    return trainer is not None and isinstance(trainer.accelerator, CUDAAccelerator)


def finished_batch(batch: Any) -> Any:
    """A batch whose `Pixels` are what a network sees; anything but a mapping as it is."""
    if not isinstance(batch, dict):
        return batch
    return {name: value.finished() if isinstance(value, Pixels) else value for name, value in batch.items()}


def seed_step(trainer: pl.Trainer | None, seed: int) -> None:
    """While training, make what torch's generators draw next a function of (seed, step, process, accumulated part)."""
    if trainer is None or not trainer.training:
        return
    part = (trainer.fit_loop.batch_idx + 1) % accumulated(trainer)
    text = f"{seed}/{trainer.global_step}/{trainer.global_rank}" + (f"/{part}" if part else "")
    # torch.manual_seed asks every kind of device; where there is none, each notes the whole stack at every step.
    on_processor = trainer.strategy.root_device.type == "cpu"
    seed_generators = torch.default_generator.manual_seed if on_processor else torch.manual_seed
    seed_generators(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little", signed=True))


def accumulated(trainer: pl.Trainer | None) -> int:
    """How many batches an optimiser step of `trainer` learns from."""
    return 1 if trainer is None else trainer.accumulate_grad_batches


class _Batches(Dataset[Sample]):
    """Batch i is part i % k of optimiser step i // k, k batches being accumulated; this process sees its share."""

    def __init__(self, steps: Steps, trainer: pl.Trainer | None) -> None:
        self.steps, self.parts = steps, accumulated(trainer)
        self.rank, self.world = (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)

    def __len__(self) -> int:
        return len(self.steps) * self.parts

    def __getitem__(self, index: int) -> Sample:
        step, part = divmod(index, self.parts)
        place, places = part * self.world + self.rank, self.parts * self.world
        # What a part's mean loss counts, so that the mean over all parts is that of the whole batch: 1 for even parts.
        weight = len(range(place, self.steps.batch_size, places)) * places / self.steps.batch_size
        return {"share": torch.tensor(weight), **self.steps.batch(step, rank=place, world=places)}


# A DistributedSampler, like the other sampler below, so that Lightning does not put its own in the place of it.
class _FromStep(DistributedSampler[Any]):
    """The batches from the optimiser step on at which the trainer is; outside of training, time through by time."""

    def __init__(self, batches: _Batches, *, trainer: pl.Trainer | None) -> None:
        super().__init__(batches, num_replicas=1, rank=0, shuffle=False)
        self.batches, self.trainer = batches, trainer

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[int]:
        # Looked up at the first batch: only then has a trainer restored its counts, and a loader with workers makes
        # two iterators and takes batches from one of them.
        if self.trainer is None or not self.trainer.training:
            self.epoch += 1
            start, done = (self.epoch - 1) * len(self), 0
        elif accumulated(self.trainer) != self.batches.parts:
            raise InputError("accumulate_grad_batches changed while training: give the trainer one number.")
        else:  # `done`: what Lightning counts as done before `start` in this time through
            start, done = self.trainer.global_step * self.batches.parts, self.trainer.fit_loop.batch_idx + 1
        yield from range(start, start + len(self) - done)


class OwnShare(DistributedSampler[Any]):
    """Indices rank, rank + world, ...: each in one process alone, also where they cannot be shared evenly."""

    def __init__(self, images: Dataset[Sample], *, trainer: pl.Trainer | None) -> None:
        super().__init__(images, num_replicas=1, rank=0, shuffle=False)
        self.count, self.trainer = len(images), trainer  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self._own())

    def __iter__(self) -> Iterator[int]:
        return iter(self._own())

    def _own(self) -> range:
        # Asked for late: a trainer that starts its processes itself has a rank only in them.
        rank, world = (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
        return range(rank, self.count, world)


def share(indices: Any, *, rank: int, world: int) -> Any:
    """The part of a batch's indices that one of `world` processes takes; every process must get some.

    Raises:
        InputError: there are fewer indices than processes.
    """
    if len(indices) < world:
        raise InputError(
            f"A batch of {len(indices)} cannot be shared by {world} devices (times accumulated batches): "
            "set trainer.devices=1, or enlarge the batch."
        )
    return indices[rank::world]
