"""Training of a patch network from the tag of whole images (patches sec. 3.2)."""

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional as F

from wsss_lightning.methods.patches.network import PatchNetwork, probability
from wsss_lightning.metrics.tags import average_precision, balanced_accuracy

Pooling = Callable[[Tensor], Tensor]


class PatchModule(pl.LightningModule):
    """Trains on batches of N patches per image and whether the image shows the class.

    Args:
        network: what is trained.
        pooling: one of `ops.pooling`, of the N scores of each column to that of the image (eqs 1 and 3).
        rate: of plain SGD, fixed.
    """

    def __init__(self, *, network: PatchNetwork, pooling: Pooling, rate: float) -> None:
        super().__init__()
        self.network, self.pooling, self.rate = network, pooling, rate
        self._seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, batch: dict[str, Any]) -> Tensor:
        """f, (B, 2): foreground, background."""
        scores = self.network(batch["patches"]).unflatten(0, (len(batch["positive"]), -1))
        return self.pooling(scores)

    def training_step(self, batch: dict[str, Any], _: int) -> Tensor:
        """Eq 4, the loss of all images of the step; its gradient is their sum on any number of devices."""
        background = (~batch["positive"]).long()
        loss = F.cross_entropy(self(batch), background, reduction="sum")
        self.log("train/loss", loss / len(background), batch_size=len(background))
        # Lightning averages gradients over devices.
        return loss * self.trainer.world_size

    def validation_step(self, batch: dict[str, Any], _: int) -> None:
        self._seen.append((probability(self(batch)), batch["positive"]))

    def on_validation_epoch_end(self) -> None:
        """How well the tag of images that were not trained on is told: what rates are chosen by."""
        probs, tags = (torch.cat(list(column))[:, None] for column in zip(*self._seen, strict=True))
        self._seen.clear()
        self.log("val/tag_ap", average_precision(probs, tags).nanmean().float())
        self.log("val/tag_accuracy", balanced_accuracy(probs, tags).nanmean().float())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.network.parameters(), lr=self.rate)
