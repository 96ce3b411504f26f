"""Image classification from scratch, the stand-in for ImageNet training."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional as F

from wsss_lightning.nn.description import Node, build, describe
from wsss_lightning.nn.optimisation import MakeOptimizer, Scheduler, optimisation
from wsss_lightning.nn.seeds import seeded
from wsss_lightning.nn.vgg import VGG

MakeVGG = Callable[..., VGG]


class PictureClassifier(pl.LightningModule):
    """Softmax loss on pictures of one thing each: batches of `image` (N, 3, H, W) and `label` (N,).

    Arguments may also be given as descriptions (`nn.description`).

    Args:
        network: `nn.vgg.VGG` with its settings but for the number of classes.
        class_names: of labels 0, 1, ...
        rate: the peak of a one-cycle schedule, or the first one of a `scheduler`.
        weight_decay: of AdamW.
        seed: of the first weights.
        optimizer: makes another one than AdamW.
        scheduler: of the rate, in the place of the cycle.
    """

    def __init__(
        self,
        *,
        network: MakeVGG | Node,
        class_names: Sequence[str],
        rate: float,
        weight_decay: float,
        seed: int = 0,
        optimizer: MakeOptimizer | Node | None = None,
        scheduler: Scheduler | Node | None = None,
    ) -> None:
        super().__init__()
        plain = {"class_names": list(class_names), "rate": rate, "weight_decay": weight_decay, "seed": seed}
        objects = {"network": network, "optimizer": optimizer, "scheduler": scheduler}
        self.save_hyperparameters({**plain, **{name: describe(value) for name, value in objects.items()}})
        with seeded(seed):
            self.network: VGG = build(network)(num_classes=len(class_names)).to(memory_format=torch.channels_last)
        self.learning_rate = rate
        self.optimizer: MakeOptimizer = build(optimizer) or partial(torch.optim.AdamW, weight_decay=weight_decay)
        self.scheduler: Scheduler | None = build(scheduler)

    def forward(self, images: Tensor) -> Tensor:
        """Class logits, (N, 3, H, W) -> (N, C)."""
        return self.network(images)  # type: ignore[no-any-return]

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        logits = self(batch["image"].contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits, batch["label"], label_smoothing=0.1) * batch["share"]
        self.log("train/loss", loss, batch_size=len(logits), sync_dist=True)
        return loss

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        self._log_accuracy("val/accuracy", batch)

    def test_step(self, batch: dict[str, Tensor], _: int) -> None:
        self._log_accuracy("test/accuracy", batch)

    def predict_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        """Probabilities of the classes, (N, C)."""
        return self(batch["image"]).softmax(dim=1)  # type: ignore[no-any-return]

    def configure_optimizers(self) -> Any:
        total, parameters = int(self.trainer.estimated_stepping_batches), self.network.parameters()
        if self.scheduler is not None:
            return optimisation(parameters, optimizer=self.optimizer, rate=self.scheduler(self.learning_rate, total))
        optimizer = self.optimizer(parameters, lr=self.learning_rate)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.learning_rate, total_steps=total)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}

    def _log_accuracy(self, name: str, batch: dict[str, Tensor]) -> None:
        right = self(batch["image"]).argmax(dim=1) == batch["label"]
        self.log(name, right.float().mean(), batch_size=len(right), on_epoch=True)
