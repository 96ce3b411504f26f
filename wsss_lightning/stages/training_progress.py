"""The one progress display, for Lightning's trainers."""

import logging
import platform
import sys
import time
from typing import Any

import pytorch_lightning as pl
import torch
from rich.progress import TaskID

from wsss_lightning.progress import ProgressBar, display

_LOSS_EVERY = 0.5  # seconds; to read a loss is to wait for the accelerator

log = logging.getLogger(__name__)


class TrainingProgress(pl.Callback):
    """The same bar for `Trainer.fit`, counted in optimiser steps, with the loss; a line before names the device."""

    def __init__(self, *, description: str, enabled: bool = True) -> None:
        self.description = description
        self.enabled = enabled
        self._bar: ProgressBar | None = None
        self._task = TaskID(0)
        self._next_loss = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self._bar = display(self.enabled and trainer.is_global_zero)
        self._bar.start()
        total = trainer.estimated_stepping_batches
        if trainer.is_global_zero:
            gone = f", going on behind step {trainer.global_step}" if trainer.global_step else ""
            log.info("    %s: %s steps on %s%s", self.description, total, _device(trainer), gone)
        self._task = self._bar.add_task(self.description, total=total, completed=trainer.global_step)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,  # noqa: ARG002
        outputs: Any,
        *arguments: Any,  # noqa: ARG002
    ) -> None:
        if self._bar is None or not (self._bar.shown or self._bar.due()):
            return
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if isinstance(loss, torch.Tensor) and time.monotonic() >= self._next_loss:
            self._next_loss = time.monotonic() + _LOSS_EVERY
            self._bar.update(self._task, description=f"{self.description}, loss {float(loss):.4g}")
        self._bar.report(self._task, trainer.global_step)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:  # noqa: ARG002
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            sys.stderr.flush()


def _device(trainer: pl.Trainer) -> str:
    device = trainer.strategy.root_device
    name = (
        torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type.upper()}, {platform.machine()}"
    )
    return f"{trainer.world_size} x {name}" if trainer.world_size > 1 else name
