"""Training of the localization network from tags (priors sec. 4.2.2)."""

from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional as F

from wsss_lightning.methods.priors.localization_network import LocalizationNetwork
from wsss_lightning.metrics.tags import average_precision, balanced_accuracy
from wsss_lightning.nn.optimisation import descent, optimisation, phases

Loss = Callable[[Tensor, Tensor], Tensor]


def sigmoid_cross_entropy(logits: Tensor, tags: Tensor) -> Tensor:
    """Every class by itself, since an image may show several: summed over classes, the mean over images, as in Caffe.

    Args:
        logits: S_c, (N, C).
        tags: (N, C) bool.
    """
    return F.binary_cross_entropy_with_logits(logits, tags.type_as(logits), reduction="sum") / len(logits)


def softmax_cross_entropy(logits: Tensor, tags: Tensor) -> Tensor:
    """All classes against each other; those present share the target evenly, an image without any adds nothing.

    Args:
        logits: S_c, (N, C).
        tags: (N, C) bool.
    """
    present = (logits.log_softmax(dim=1) * tags).sum(dim=1) / tags.sum(dim=1).clamp_min(1)
    return -present.mean()


class LocalizationModule(pl.LightningModule):
    """Trains all weights of a `LocalizationNetwork` on batches of images and their tags.

    `loss`: the paper's "cross entropy loss", of logits and tags; `rates`, `steps`: see `nn.optimisation.phases`.
    """

    def __init__(
        self, *, network: LocalizationNetwork, loss: Loss, rates: Sequence[float], steps: Sequence[int]
    ) -> None:
        super().__init__()
        self.network = network
        self.loss, self.rates, self.steps = loss, tuple(rates), tuple(steps)
        self._seen: list[tuple[Tensor, Tensor]] = []

    def training_step(self, batch: dict[str, Any], _: int) -> Tensor:
        loss = self.loss(self.network(batch["image"]), batch["tags"])
        self.log("train/loss", loss, batch_size=len(batch["image"]))
        return loss

    def validation_step(self, batch: dict[str, Any], _: int) -> None:
        self._seen.append((self.network(batch["image"]), batch["tags"]))

    def on_validation_epoch_end(self) -> None:
        """How well tags of images that were not trained on are told: what rates are chosen by."""
        logits, tags = (torch.cat(list(column)) for column in zip(*self._seen, strict=True))
        self._seen.clear()
        self.log("val/tag_ap", average_precision(logits, tags).nanmean().float())
        self.log("val/tag_accuracy", balanced_accuracy(logits.sigmoid(), tags).nanmean().float())

    def configure_optimizers(self) -> Any:
        return optimisation(self.network.parameters(), optimizer=descent, rate=phases(self.rates, self.steps))
