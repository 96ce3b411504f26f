"""Which colours go with a tag: a perceptron on single pixels, whose scores are pooled to those of the tags."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wsss_lightning.metrics.tags import TagScores
from wsss_lightning.nn.description import Node, build, describe
from wsss_lightning.nn.optimisation import MakeOptimizer, Scheduler, optimisation
from wsss_lightning.nn.prediction import Prediction
from wsss_lightning.nn.seeds import seeded
from wsss_lightning.ops.pooling import log_sum_exp_pool
from wsss_lightning.ops.resize import resize_maps


def read_scores(stored: dict[str, Tensor], size: tuple[int, int]) -> Tensor:
    """Probabilities (L, *size) from the scores that are kept of an image; that of background is 0."""
    scores = resize_maps(stored["scores"][None].float(), size)[0]
    return F.pad(scores, (0, 0, 0, 0, 1, 0)).softmax(dim=0)


class ColourModule(pl.LightningModule):
    """Learns from `image` (N, 3, H, W) and `tags` (N, C); labels pixels.

    Args:
        class_names: the C foreground classes.
        hidden: units of the perceptron.
        sharpness: of the log-sum-exp pooling over pixels: 0 would be their mean, infinity their maximum.
        rate: of learning.
        seed: of the first weights.
        optimizer: None for Adam.
        scheduler: of the rate; None for a fixed one.
    """

    reading = staticmethod(read_scores)  # how probabilities are made of what a prediction stores

    def __init__(
        self,
        *,
        class_names: Sequence[str],
        hidden: int,
        sharpness: float,
        rate: float,
        seed: int = 0,
        optimizer: MakeOptimizer | Node | None = None,
        scheduler: Scheduler | Node | None = None,
    ) -> None:
        super().__init__()
        given = {"class_names": class_names, "hidden": hidden, "sharpness": sharpness, "rate": rate, "seed": seed}
        self.save_hyperparameters(describe({**given, "optimizer": optimizer, "scheduler": scheduler}))
        with seeded(seed):
            self.network = nn.Sequential(nn.Conv2d(3, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, len(class_names), 1))
        self.optimizer, self.scheduler = build(optimizer) or torch.optim.Adam, build(scheduler)
        self.tag_scores = TagScores()

    def forward(self, images: Tensor) -> Tensor:
        """Scores of every pixel, (N, C, H, W)."""
        return self.network(images)

    def training_step(self, batch: dict[str, Any], _: int) -> Tensor:
        logits = log_sum_exp_pool(self(batch["image"]), self.hparams["sharpness"])
        loss = F.binary_cross_entropy_with_logits(logits, batch["tags"].float()) * batch["share"]
        self.log("train/loss", loss, batch_size=len(logits), sync_dist=True)
        return loss

    def validation_step(self, batch: dict[str, Any], _: int) -> None:
        logits = log_sum_exp_pool(self(batch["image"]), self.hparams["sharpness"])
        self.tag_scores.update(logits.sigmoid(), batch["tags"])

    def on_validation_epoch_end(self) -> None:
        """How well tags of images that were not trained on are told: what settings may be chosen by."""
        self.log("val/tag_ap", self.tag_scores.compute()["tag_ap"])
        self.tag_scores.reset()

    def predict_step(self, batch: dict[str, Any], _: int) -> list[Prediction]:
        """Labels of every image at its own size, and the scores that they are made of."""
        images = zip(batch["image_id"], batch["size"].tolist(), self(batch["image"]).half(), strict=True)
        return [
            Prediction(image_id, read_scores({"scores": scores}, tuple(size)).argmax(dim=0), {"scores": scores})
            for image_id, size, scores in images
        ]

    def configure_optimizers(self) -> Any:
        rate, total = self.hparams["rate"], int(self.trainer.estimated_stepping_batches)
        follow = (lambda _: rate) if self.scheduler is None else self.scheduler(rate, total)
        return optimisation(self.parameters(), optimizer=self.optimizer, rate=follow)
