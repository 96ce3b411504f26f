"""The one progress display, for Lightning's trainers."""

import sys
from typing import Any

import pytorch_lightning as pl
from rich.progress import Progress, TaskID

from wsss_lightning.progress import display


class TrainingProgress(pl.Callback):
    """The same bar for `Trainer.fit`, counted in optimiser steps."""

    def __init__(self, *, description: str, enabled: bool = True) -> None:
        self.description = description
        self.enabled = enabled
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self._bar = display(self.enabled and trainer.is_global_zero)
        self._bar.start()
        total = trainer.estimated_stepping_batches
        self._task = self._bar.add_task(self.description, total=total, completed=trainer.global_step)

    def on_train_batch_end(self, trainer: pl.Trainer, *arguments: Any) -> None:  # noqa: ARG002
        if self._bar is not None:
            self._bar.update(self._task, completed=trainer.global_step)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:  # noqa: ARG002
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            sys.stderr.flush()
