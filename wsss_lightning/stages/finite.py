"""The end of a training whose loss, gradient or weights are no numbers any more."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from wsss_lightning.errors import InputError

_SHOWN = 8  # images that are named


class Finite(pl.Callback):
    """Raises `InputError` at the first step whose loss or gradient is not finite, with the images of its batch.

    Weights that learn are looked at before they are saved (`check_weights`) and after the last step: one that is not
    finite in between shows in the next loss. Others may be what they like: published weights hold layers of nan that no
    network reads. Gradients are left to a loss scaler where there is one, since it skips steps that overflow.
    """

    def __init__(self, description: str) -> None:
        self.description = description
        self.batch: Any = None
        self.learning: set[str] = set()  # names of the weights that have had a gradient

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        self.batch = batch

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:  # noqa: ARG002
        if not bool(torch.isfinite(loss.detach()).all()):
            raise self._error("the loss", trainer)

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any) -> None:  # noqa: ARG002
        gradients = {name: weight.grad for name, weight in pl_module.named_parameters() if weight.grad is not None}
        self.learning |= gradients.keys()
        scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
        if not scaled and (name := first_not_finite(gradients)) is not None:
            raise self._error(f"the gradient of {name}", trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.check_weights(trainer, pl_module)

    def check_weights(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Raise `InputError` where a weight that learns is not finite."""
        weights = {name: weight for name, weight in pl_module.named_parameters() if name in self.learning}
        if (name := first_not_finite(weights)) is not None:
            raise self._error(f"the weight {name}", trainer)

    def _error(self, what: str, trainer: pl.Trainer) -> InputError:
        ids = list(self.batch.get("image_id", ())) if isinstance(self.batch, Mapping) else []
        more = f" and {len(ids) - _SHOWN:,} more" if len(ids) > _SHOWN else ""
        images = f" (images {', '.join(ids[:_SHOWN])}{more})" if ids else ""
        where = f"at step {trainer.global_step}{images}"
        return InputError(
            f"{self.description}: {what} is not finite {where}: take a lower rate, or see "
            "what is wrong with these images; nothing of the stage is recorded."
        )


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Name of the first tensor with a value that is not finite, None where all are; integers always are."""
    floats = {
        name: tensor.detach() for name, tensor in tensors.items() if tensor.is_floating_point() and tensor.numel()
    }
    if not floats or bool(_greatest(list(floats.values())).isfinite()):
        return None
    return next(name for name, tensor in floats.items() if not bool(tensor.isfinite().all()))


def _greatest(tensors: Sequence[Tensor]) -> Tensor:
    """Greatest absolute value, in one pass over memory: not finite as soon as one value is not; it cannot overflow."""
    if all(tensor.device.type == "cpu" for tensor in tensors):  # where a norm takes twenty times as long
        return torch.stack([end.double() for tensor in tensors for end in torch.aminmax(tensor)]).abs().max()
    return torch.nn.utils.get_total_norm(tensors, norm_type=math.inf)
