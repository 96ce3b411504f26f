"""A callback: any of Lightning's; what it has to know after a kill is in its state."""

from typing import Any

import pytorch_lightning as pl
from torch import Tensor


class BestWeights(pl.Callback):
    """Leaves the weights of the validation at which `monitor` was largest; it has to be one that opens no masks."""

    def __init__(self, monitor: str) -> None:
        self.monitor, self.best = monitor, float("-inf")
        self.weights: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        value = float(trainer.callback_metrics[self.monitor])
        if value > self.best:
            self.best = value
            self.weights = {name: weight.detach().clone() for name, weight in pl_module.state_dict().items()}

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.weights:
            pl_module.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.weights = state_dict["best"], state_dict["weights"]
