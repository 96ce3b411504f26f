"""Callbacks: what waits for a metric of held-out images needs some, and a training that is cut short has one."""

from typing import Any

import pytorch_lightning as pl

from wsss_lightning.errors import InputError


class Monitored(pl.Callback):
    """Refuses, before the first step, a callback that looks at validations where nothing is held out.

    Raises:
        InputError: there is one; it names the metric.
    """

    def __init__(self, description: str) -> None:
        self.description = description

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        # Where the first time through has no validation, its batches are not known yet.
        if any(trainer.num_val_batches) or trainer.check_val_every_n_epoch not in (None, 1):
            return
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if (monitor := getattr(callback, "monitor", None)) and _looks_at_validations(callback, monitor):
                raise InputError(
                    f"{type(callback).__name__} waits for {monitor} of validations, but nothing is held out from the "
                    f"training of the {self.description}: set callbacks=null for this stage."
                )


class ValidatedAtTheEnd(pl.Callback):
    """Has held-out images looked at behind the last step where `max_steps` ends a training within its first pass."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        batches = trainer.max_steps * trainer.accumulate_grad_batches
        if 0 < batches < (trainer.val_check_batch or 0):
            trainer.val_check_batch = batches


def _looks_at_validations(callback: Any, monitor: str) -> bool:
    return monitor.startswith("val/") or getattr(callback, "_check_on_train_epoch_end", None) is False
