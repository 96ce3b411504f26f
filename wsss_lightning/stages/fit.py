"""Training that can be killed at any step and goes on to the same weights."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import Checkpoint, LearningRateMonitor
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins import TorchCheckpointIO
from pytorch_lightning.plugins.environments import (  # type: ignore[attr-defined]
    ClusterEnvironment,
    LightningEnvironment,
    TorchElasticEnvironment,
)

from wsss_lightning import models
from wsss_lightning.atomic import replace_file
from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.masks import palette
from wsss_lightning.errors import InputError
from wsss_lightning.stages.finite import Finite
from wsss_lightning.stages.loggers import closing_loggers, log_stage
from wsss_lightning.stages.monitored import Monitored, ValidatedAtTheEnd
from wsss_lightning.stages.training_progress import TrainingProgress
from wsss_lightning.tensors import UnreadableError, load_pickle

# Deterministic mode also fills every new tensor, a third of a small network's time; no layer here reads one unwritten.
torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]

_CHECKPOINT = "last.ckpt"
_LOG_EVERY = 10  # steps; Lightning's 50 leaves two points of a training of a minute
MakeTrainer = Callable[..., pl.Trainer]
Callbacks = Mapping[str, pl.Callback] | None


def fit(
    *,
    out_dir: Path,
    model: pl.LightningModule,
    data: pl.LightningDataModule,
    inputs: models.Inputs | None,
    trainer: MakeTrainer,
    callbacks: Callbacks,
    loggers: Mapping[str, Logger],
    checkpoint_every: int,
    progress: bool,
    description: str,
) -> dict[str, float]:
    """`Trainer.fit(model, datamodule=data)`, gone on with where a killed run left `out_dir/last.ckpt`.

    Leaves the whole model in `out_dir` (`models.save`), no optimiser's states, and returns what it logged last.
    Training is as long as the data module's loader unless the trainer says otherwise (`max_steps`, `max_epochs`,
    `limit_train_batches`).

    Raises:
        InputError: a loss, gradient or weight is not finite, see `Finite`; the checkpoint is damaged; a callback waits
            for held-out images, of which there are none.
    """
    last = out_dir / _CHECKPOINT
    with closing_loggers(loggers), quiet():
        log_stage(loggers, out_dir)
        bar, finite = TrainingProgress(description=description, enabled=progress), Finite(description)
        runner = make_trainer(
            trainer,
            callbacks=[
                *(
                    Monitored(description),
                    ValidatedAtTheEnd(),
                    _Saved(last, every=checkpoint_every, finite=finite),
                    finite,
                    bar,
                ),
                *([LearningRateMonitor()] if loggers else []),
                *(callbacks or {}).values(),
            ],
            logger=list(loggers.values()),
            folder=out_dir,
        )
        runner.fit(model, datamodule=data, ckpt_path=_readable(last) if last.exists() else None)
        if runner.is_global_zero and inputs is not None:
            models.save(model, out_dir, inputs=inputs)
        runner.strategy.barrier()
    # A stage killed before this trains its last steps again, one killed before its record all: to the same bits.
    last.unlink(missing_ok=True)
    # Learning rates are logged, but are no results.
    return {name: float(value) for name, value in runner.callback_metrics.items() if not name.startswith("lr-")}


def inputs_of(data: SegmentationDataModule) -> models.Inputs:
    """What a model trained on `data` expects and tells."""
    indices = [0, *data.labels.indices.tolist()]
    return models.Inputs(
        class_names=data.class_names,
        indices=indices,
        palette=palette()[indices].tolist(),
        mean=[*data.mean],
        std=[*data.std],
        size=[*data.size] if isinstance(data.size, Sequence) else data.size,
    )


def make_trainer(
    trainer: MakeTrainer, *, callbacks: list[pl.Callback], logger: list[Logger], folder: Path
) -> pl.Trainer:
    """Lightning's trainer with what a stage decides; callbacks and length that `trainer` was given stay in force.

    Raises:
        InputError: this machine has no such accelerator, or fewer devices.
    """
    given: Mapping[str, Any] = getattr(trainer, "keywords", {})
    length = {} if given.keys() & {"max_steps", "max_epochs"} or given.get("fast_dev_run") else {"max_epochs": 1}
    try:
        runner = trainer(
            callbacks=[*callbacks, *given.get("callbacks", [])],
            plugins=[_environment(given), _Checkpoints(), *given.get("plugins", [])],
            logger=logger,
            enable_progress_bar=False,
            log_every_n_steps=given.get("log_every_n_steps", _LOG_EVERY),
            enable_model_summary=False,
            use_distributed_sampler=False,
            default_root_dir=folder,
            num_sanity_val_steps=0,
            **length,
        )
    except (MisconfigurationException, ModuleNotFoundError) as error:
        reason = " ".join(str(error).split()).rstrip(".!")
        raise InputError(f"{reason}: choose another accelerator (auto, cpu), or fewer devices.") from error
    _leave_signals(runner)
    return runner


def make_whole_trainer(trainer: MakeTrainer, *, callbacks: list[pl.Callback], folder: Path) -> pl.Trainer:
    """`make_trainer` for looking at images: what shortens a training (`fast_dev_run`, ...) leaves none of them out."""
    whole = partial(trainer, fast_dev_run=False, limit_val_batches=1.0, overfit_batches=0.0)
    return make_trainer(whole, callbacks=callbacks, logger=[], folder=folder)


def _leave_signals(runner: pl.Trainer) -> None:
    """Let SIGTERM end this process at once, as it does outside of a trainer: nothing is lost by it.

    Lightning would note it, go on to the end of a step and, where it predicts, to the last image.
    """
    runner._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]


class _Checkpoints(TorchCheckpointIO):
    """Lightning's own way writes to the system's temporary folder and copies from there, which a kill may cut short."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:  # noqa: ARG002
        replace_file(Path(path), partial(torch.save, checkpoint))


def _environment(given: Mapping[str, Any]) -> ClusterEnvironment:
    # Under SLURM Lightning would requeue by itself and go on from a checkpoint of its own, of which no loader knows.
    # In a group of processes, a trainer of a single device is one that its process does not share.
    devices = given.get("devices")
    alone = devices == 1 or (isinstance(devices, list) and len(devices) == 1)
    grouped = TorchElasticEnvironment.detect() and not (alone and given.get("num_nodes", 1) == 1)
    return TorchElasticEnvironment() if grouped else LightningEnvironment()


class _Saved(Checkpoint):
    """Overwrite one checkpoint every so many steps, behind the validation of that step.

    Lightning resumes behind a validation that had not begun, and early stopping would miss it. None is written after
    the last step, planned or not: resumed there, training would log nothing, or go on after it was stopped.
    """

    def __init__(self, path: Path, *, every: int, finite: Finite) -> None:
        self.path, self.every, self.finite, self.done = path, every, finite, 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self.done = trainer.global_step

    def on_train_batch_end(self, trainer: pl.Trainer, *arguments: Any) -> None:  # noqa: ARG002
        loop = trainer.fit_loop
        assert loop._data_fetcher is not None
        validates_next = loop.epoch_loop._should_check_val_fx(loop._data_fetcher)
        if not validates_next:
            self._save(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self._save(trainer)

    def _save(self, trainer: pl.Trainer) -> None:
        step, last = trainer.global_step, trainer.estimated_stepping_batches
        if step % self.every == 0 and self.done < step < last and not trainer.should_stop:
            self.finite.check_weights(trainer, trainer.lightning_module)
            trainer.save_checkpoint(self.path)
            self.done = step


@contextmanager
def quiet() -> Iterator[None]:
    """Lightning's remarks about hardware, workers and folders kept off the screen; its errors are not."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # The folder is meant to hold an earlier run's checkpoint; a few workers more would not pay here.
            warnings.filterwarnings("ignore", module="pytorch_lightning")
            yield
    finally:
        logger.setLevel(level)


def _readable(checkpoint: Path) -> Path:
    try:
        content = load_pickle(checkpoint, mmap=True)
    except UnreadableError as error:
        raise InputError(f"{checkpoint} is damaged, it {error}: delete it to train from the start.") from None
    if not isinstance(content, dict) or not {"state_dict", "loops", "global_step"} <= content.keys():
        raise InputError(f"{checkpoint} is no checkpoint of this training: delete it to train from the start.")
    return checkpoint
