"""Training that can be killed at any step and goes on to the same weights."""

import hashlib
import logging
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import Logger
from torch.utils.data import DataLoader, Dataset

from wsss_lightning.data.steps import StepLoader, Steps
from wsss_lightning.errors import InputError
from wsss_lightning.stages.loggers import finished, log_stage
from wsss_lightning.stages.training_progress import TrainingProgress

# Deterministic mode also fills every new tensor, a third of a small network's time; no layer here reads one unwritten.
torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]

_CHECKPOINT = "last.ckpt"
MakeTrainer = Callable[..., pl.Trainer]


class _Batches(Dataset[dict[str, Any]]):
    def __init__(self, steps: Steps, trainer: pl.Trainer) -> None:
        self.steps = steps
        self.rank, self.world = trainer.global_rank, trainer.world_size

    def __getitem__(self, step: int) -> dict[str, Any]:
        return self.steps.batch(step, rank=self.rank, world=self.world)

    def __len__(self) -> int:
        return len(self.steps)


class _From:
    """Steps `start`..`total` - 1; its length stays `total`, because Lightning counts the steps before `start` too."""

    def __init__(self, start: int, total: int) -> None:
        self.start, self.total = start, total

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start, self.total))

    def __len__(self) -> int:
        return self.total


class _SeedEachStep(pl.Callback):
    """Dropout and whatever else draws from torch's generators become functions of (seed, step, process)."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: pl.Trainer, *arguments: Any) -> None:  # noqa: ARG002
        text = f"{self.seed}/{trainer.global_step}/{trainer.global_rank}"
        torch.manual_seed(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little", signed=True))


def fit(
    *,
    out_dir: Path,
    module: pl.LightningModule,
    steps: Steps,
    trainer: MakeTrainer,
    loggers: Mapping[str, Logger],
    held_out: DataLoader[Any] | None,
    seed: int,
    workers: int,
    checkpoint_every: int,
    progress: bool,
    description: str,
    callbacks: Sequence[pl.Callback] = (),
) -> dict[str, float]:
    """Train `module` on `steps`, from `out_dir/last.ckpt` where a killed run left one; returns what it logged last.

    The checkpoint stays until the caller has written the weights and calls `drop_checkpoint`.
    `held_out`: batches for `validation_step`, looked at once, after the last step; `callbacks`: further ones.
    """
    last = out_dir / _CHECKPOINT
    with finished(loggers), quiet():
        log_stage(loggers, out_dir)
        runner = trainer(
            max_steps=len(steps),
            callbacks=[
                _Saved(out_dir, every=checkpoint_every, steps=len(steps)),
                _SeedEachStep(seed),
                TrainingProgress(description=description, enabled=progress),
                *callbacks,
            ],
            logger=list(loggers.values()),
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            default_root_dir=out_dir,
            num_sanity_val_steps=0,
        )
        loader = _loader(steps, runner, start=_step(last), workers=workers)
        runner.fit(module, loader, held_out, ckpt_path=last if last.exists() else None)
    return {name: float(value) for name, value in runner.callback_metrics.items()}


def drop_checkpoint(out_dir: Path) -> None:
    """Delete the optimiser's states once the weights are written.

    A stage killed before this trains its last steps again, one killed before its record all of them: to the same bits.
    """
    (out_dir / _CHECKPOINT).unlink(missing_ok=True)


class _Saved(ModelCheckpoint):
    """Overwrite one checkpoint every so many steps, but not after the last: resumed there, nothing would be logged."""

    def __init__(self, folder: Path, *, every: int, steps: int) -> None:
        super().__init__(
            dirpath=folder,
            filename=Path(_CHECKPOINT).stem,
            every_n_train_steps=every,
            save_top_k=-1,
            enable_version_counter=False,
        )
        self.steps = steps

    def on_train_batch_end(self, trainer: pl.Trainer, *arguments: Any) -> None:
        if trainer.global_step < self.steps:
            super().on_train_batch_end(trainer, *arguments)


@contextmanager
def quiet() -> Iterator[None]:
    """Lightning's remarks about hardware, workers and folders kept off the screen; its errors are not."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # The folder is meant to hold an earlier run's checkpoint; a few workers more would not pay here.
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        yield
    logger.setLevel(level)


def _loader(steps: Steps, trainer: pl.Trainer, *, start: int, workers: int) -> DataLoader[dict[str, Any]]:
    dataset = _Batches(steps, trainer)
    keep = workers > 0
    sampler = _From(start, len(steps))
    return StepLoader(dataset, batch_size=None, sampler=sampler, num_workers=workers, persistent_workers=keep)


def _step(checkpoint: Path) -> int:
    if not checkpoint.exists():
        return 0
    try:
        return int(torch.load(checkpoint, map_location="cpu", weights_only=True)["global_step"])
    except Exception as error:  # torch names no common base for what a damaged file can raise
        raise InputError(f"{checkpoint} is damaged ({error}): delete it to train from the start.") from None


def own_seed(seed: int, name: str) -> int:
    """A seed of one image's or class's own: a function of (seed, name), whatever was drawn for others."""
    return zlib.crc32(f"{seed}/{name}".encode())


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Initial weights as a function of `seed`, torch's global generator left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
