"""Callback: the mIoU of the val images while a network learns, for people to look at."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.apply_func import move_data_to_device
from torch import nn

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.metrics.segmentation import mean_iou
from wsss_lightning.opened import note_masks

NAME = "val/miou"


class ValCurve(pl.Callback):
    """Log the mIoU of the val images every so often, and behind the last step; what labels no pixels has none.

    It opens the val images' masks, which the supervision card then says of the stage that trains. Nothing follows from
    the curve: training goes on to the same weights.

    Args:
        data: whose val images are looked at.
        times: how often in all.

    Raises:
        InputError: there is no logger to draw the curve, or (when training begins) an image has no mask.
        ValueError: `times` is not positive.
    """

    def __init__(self, data: SegmentationDataModule, times: int = 10) -> None:
        if times < 1:
            raise ValueError(f"times must be positive, not {times}")
        self.data, self.times, self.last_step = data, times, 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not hasattr(pl_module, "confusion"):
            return
        if not trainer.loggers:
            raise InputError("callbacks=val_curve needs a logger that draws its curve: leave logger=none out.")
        self.data.trainer, self.last_step = trainer, trainer.global_step  # whose processes share the images
        note_masks(record.mask for record in self.data.records("val"))

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *arguments: Any) -> None:  # noqa: ARG002
        step, before, total = trainer.global_step, self.last_step, int(trainer.estimated_stepping_batches)
        self.last_step = step  # as before behind all but the last of accumulated batches
        if step * self.times // total > before * self.times // total and hasattr(pl_module, "confusion"):
            value = self._miou(pl_module)
            for logger in trainer.loggers:
                logger.log_metrics({NAME: value}, step=step - 1)  # Lightning's own curves count from 0

    def _miou(self, module: Any) -> float:
        module.confusion.reset()
        with _evaluating(module), torch.inference_mode():
            for number, batch in enumerate(self.data.test_dataloader()):
                module.test_step(move_data_to_device(batch, module.device), number)
            value = float(mean_iou(module.confusion.compute()))
        module.confusion.reset()
        return value


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Everything in evaluation mode, and then as it was: parts of a network may be so while it learns."""
    learning = [each for each in module.modules() if each.training]
    module.eval()
    try:
        yield
    finally:
        for each in learning:
            each.training = True
