"""Image classification from scratch, the stand-in for ImageNet training."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional as F

from wsss_lightning.nn.vgg import VGG


class PictureClassifier(pl.LightningModule):
    """Softmax loss on single-object pictures; AdamW with a one-cycle rate of peak `rate`."""

    def __init__(self, *, network: VGG, rate: float, weight_decay: float) -> None:
        super().__init__()
        self.network = network
        self.learning_rate, self.weight_decay = rate, weight_decay

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        logits = self.network(batch["image"].contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits, batch["label"], label_smoothing=0.1)
        self.log("train/loss", loss, batch_size=len(logits))
        return loss

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        correct = self.network(batch["image"]).argmax(dim=1) == batch["label"]
        self.log("val/accuracy", correct.float().mean(), batch_size=len(correct), on_epoch=True)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)
        total = int(self.trainer.estimated_stepping_batches)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.learning_rate, total_steps=total)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}
