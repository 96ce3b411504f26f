"""Backbone and point classifier trained together on sampled points (points sec. 3.3: "a choice")."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from wsss_lightning.methods.points.classifier import ADAM, PointClassifierModule
from wsss_lightning.nn.backbones import Backbone
from wsss_lightning.nn.description import Node
from wsss_lightning.nn.hypercolumns import Standardisation, hypercolumns_at
from wsss_lightning.nn.optimisation import MakeOptimizer, Scheduler, optimisation


class FineTuningModule(PointClassifierModule):
    """Softmax loss at the labelled points of a few whole images; Adam at one fixed rate for all weights.

    A training batch has `image` and, image by image, `locations` (P,) and `labels` (P,); or `image` and `mask`. Batch
    norm keeps the statistics it came with: a few images are too few for others.

    Args as of `PointClassifierModule`, and `new_layers`: by what the rate of the classifier is higher than that of the
    backbone.
    """

    def __init__(
        self,
        *,
        class_names: Sequence[str],
        backbone: Backbone | Node,
        grid: Sequence[int],
        statistics: Standardisation | Node | None = None,
        global_features: bool = True,
        hidden: int = 512,
        rate: float = 1e-5,
        seed: int = 0,
        optimizer: MakeOptimizer | Node | None = None,
        scheduler: Scheduler | Node | None = None,
        new_layers: float = 1.0,
        global_statistics: Standardisation | Node | None = None,
    ) -> None:
        super().__init__(
            class_names=class_names,
            backbone=backbone,
            grid=grid,
            statistics=statistics,
            global_features=global_features,
            hidden=hidden,
            rate=rate,
            seed=seed,
            optimizer=optimizer,
            scheduler=scheduler,
            global_statistics=global_statistics,
        )
        self.save_hyperparameters({"new_layers": new_layers})
        self.new_layers = new_layers
        self.backbone.requires_grad_(True)

    def loss(self, batch: dict[str, Any]) -> Tensor:
        """Mean over all points of all images."""
        if "locations" not in batch:
            return super().loss(batch)
        return F.cross_entropy(self.logits_at(batch["image"], batch["locations"]), torch.cat(batch["labels"]))

    def logits_at(self, images: Tensor, locations: Sequence[Tensor]) -> Tensor:
        """Logits (P, L) at the grid `locations` of each of the images (N, 3, H, W), image after image."""
        features = self.extracted(images)
        parts = [features.of_image(index).maps for index in range(len(images))]
        rows = [
            hypercolumns_at(part, chosen, self.grid, corners=features.corners)
            for part, chosen in zip(parts, locations, strict=True)
        ]
        counts = torch.tensor([len(chosen) for chosen in locations], device=images.device)
        logits: Tensor = self.classifier(torch.cat(rows), features.pooled.repeat_interleave(counts, dim=0))
        return logits

    def configure_optimizers(self) -> Any:
        return optimisation(
            self.parameters(),
            optimizer=self.optimizer or ADAM,
            rate=self.schedule(),
            new=self.classifier.parameters(),
            factor=self.new_layers,
        )
