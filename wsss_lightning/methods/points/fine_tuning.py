"""Backbone and point classifier trained together on sampled points (points sec. 3.3: "a choice")."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional as F

from wsss_lightning.methods.points.classifier import PointClassifier
from wsss_lightning.nn.backbones import Backbone
from wsss_lightning.nn.hypercolumns import Size, compact, hypercolumns_at


class FineTuningModule(pl.LightningModule):
    """Softmax loss at the labelled points of a few whole images; Adam at one fixed rate for all weights.

    Batch norm keeps the statistics it came with: a few images are too few for others.
    """

    def __init__(self, *, backbone: Backbone, classifier: PointClassifier, grid: Size, rate: float) -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(True)
        self.classifier = classifier.requires_grad_(True)
        self.grid = grid
        self.learning_rate = rate

    def train(self, mode: bool = True) -> "FineTuningModule":
        """Training mode for all but the backbone, whose batch norm would follow the batch."""
        super().train(mode)
        self.backbone.eval()
        return self

    def training_step(self, batch: dict[str, Any], _: int) -> Tensor:
        logits = self(batch["image"], batch["locations"])
        loss = F.cross_entropy(logits, torch.cat(batch["labels"]))
        self.log("train/loss", loss, batch_size=len(logits))
        return loss

    def forward(self, images: Tensor, locations: list[Tensor]) -> Tensor:
        """Logits (P, L) at the grid `locations` of each of the images (N, 3, H, W), image after image."""
        seen = self.backbone.features(images, with_global=self.classifier.whole is not None)
        maps = compact(seen.maps, self.grid)
        parts = [[m[index : index + 1] for m in maps] for index in range(len(images))]
        rows = [hypercolumns_at(part, chosen, self.grid) for part, chosen in zip(parts, locations, strict=True)]
        counts = torch.tensor([len(chosen) for chosen in locations], device=images.device)
        logits: Tensor = self.classifier(torch.cat(rows), seen.pooled.repeat_interleave(counts, dim=0))
        return logits

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate, fused=True)
