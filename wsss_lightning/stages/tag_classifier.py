"""The classifier of tags whose rows become class activation maps."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wsss_lightning.metrics.segmentation import SegmentationConfusion, mean_iou
from wsss_lightning.metrics.tags import TagScores
from wsss_lightning.nn.backbones import Backbone
from wsss_lightning.nn.class_activation import HeadStart, activation_sum, scaled_activation, shared_rows
from wsss_lightning.nn.description import Node, build, describe
from wsss_lightning.nn.optimisation import MakeOptimizer, Scheduler, optimisation
from wsss_lightning.nn.seeds import seeded
from wsss_lightning.nn.tag_losses import Loss, loss_beside, soft_margin, without_row
from wsss_lightning.nn.trunk import Learning, Trunk, Variant, variants


class Activation(NamedTuple):
    """Maps (K, H, W) in 0..1 of the K classes of an image's tags, counted from 0."""

    image_id: str
    classes: Tensor
    maps: Tensor


class TagClassifier(pl.LightningModule):
    """A linear layer on the average of the last block's maps; Adam at a fixed rate.

    A batch has `tags` (N, C) and `image` (N, 3, H, W); or, of a frozen trunk, `pooled` (N, D) to learn from and `deep`,
    maps (D, h, w) by variant of each image, to look at.

    Args:
        backbone: or its description.
        class_names: the C foreground classes.
        stride: px of a cell of the maps.
        trunk: what of the backbone learns.
        scales: of the activation maps.
        mirror: add up the mirror image's, too.
        rate: of learning.
        new_layers: by which the linear layer's rate is higher.
        seed: of its initial weights.
        optimizer: None for Adam.
        scheduler: of the rate; None for a fixed one.
        start: of the linear layer: "drawn", or "shared_rows" of the backbone's own classifier. Classes that have none
            then learn apart from the others.
        loss: of logits and tags; None for the soft-margin one.
        threshold: of a map's maximum, below which a pixel is background in `test_step`; `tuning.threshold` of a
            backbone is what `judge_activations` takes.
    """

    alone: Tensor

    def __init__(
        self,
        *,
        backbone: Backbone | Node,
        class_names: Sequence[str],
        stride: int = 16,
        trunk: Learning = "frozen",
        scales: Sequence[float] = (0.5, 1.0, 1.5),
        mirror: bool = True,
        rate: float = 1e-3,
        new_layers: float = 1.0,
        seed: int = 0,
        optimizer: MakeOptimizer | Node | None = None,
        scheduler: Scheduler | Node | None = None,
        start: HeadStart = "drawn",
        loss: Loss | Node | None = None,
        threshold: float = 0.15,
    ) -> None:
        super().__init__()
        plain: dict[str, Any] = {"stride": stride, "trunk": trunk, "mirror": mirror, "rate": rate}
        plain |= {"new_layers": new_layers, "seed": seed, "start": start, "threshold": threshold}
        lists = {"class_names": [*class_names], "scales": [*map(float, scales)]}
        described = {"backbone": backbone, "optimizer": optimizer, "scheduler": scheduler, "loss": loss}
        self.save_hyperparameters(plain | lists | {name: describe(value) for name, value in described.items()})
        base = build(backbone)
        rows = shared_rows(base, class_names, torch.Generator().manual_seed(seed)) if start == "shared_rows" else None
        alone = torch.zeros(len(class_names), dtype=torch.bool) if rows is None else without_row(base, class_names)
        self.register_buffer("alone", alone, persistent=False)
        self.trunk = Trunk(base, stride=stride, learning=trunk)
        with seeded(seed):
            self.linear = nn.Linear(self.trunk.channels[1], len(class_names))
        if rows is not None:
            self.linear.load_state_dict({"weight": rows[0], "bias": rows[1]})
        self.variants = variants(scales, mirror=mirror)
        self.rate, self.new_layers, self.threshold = rate, new_layers, threshold
        self.optimizer, self.scheduler = build(optimizer) or torch.optim.Adam, build(scheduler)
        self.loss = build(loss) or soft_margin
        # Not by the name that `val_curve` looks for: the curve of a classifier is that of its tags.
        self.tag_scores, self.map_confusion = TagScores(), SegmentationConfusion(len(class_names) + 1)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) -> logits of the tags (N, C)."""
        return self.linear(self.trunk.look(images, Variant())[1].mean(dim=(2, 3)))  # type: ignore[no-any-return]

    def tag_logits(self, batch: dict[str, Any]) -> Tensor:
        """Those of a batch, (N, C)."""
        if "pooled" not in batch:
            return self(batch["image"])  # type: ignore[no-any-return]
        with torch.autocast(self.device.type, enabled=False):  # one layer: nothing to be gained
            return self.linear(batch["pooled"].float())  # type: ignore[no-any-return]

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:  # noqa: ARG002
        logits = self.tag_logits(batch)
        loss: Tensor = loss_beside(self.loss, logits, batch["tags"], alone=self.alone) * batch["share"]
        self.log("train/loss", loss, batch_size=len(logits), sync_dist=True)
        return loss

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:  # noqa: ARG002
        self.tag_scores.update(self.tag_logits(batch).float().sigmoid(), batch["tags"])

    def on_validation_epoch_end(self) -> None:
        """How well the tags of images are told that were not trained on."""
        self.log_dict({f"val/{name}": value for name, value in self.tag_scores.compute().items()})
        self.tag_scores.reset()

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        for activation, target in zip(self.predict_step(batch, batch_idx), batch["target"], strict=True):
            self.map_confusion.update(self.labels(activation), target)

    def on_test_epoch_end(self) -> None:
        """Mean IoU over the images at their own size, with known tags: it is the maps that are judged."""
        self.log("test/miou", mean_iou(self.map_confusion.compute()))
        self.map_confusion.reset()

    def labels(self, activation: Activation) -> Tensor:
        """(H, W): 1..C of the class whose map is highest, 0 where none is above the threshold."""
        maps = F.pad(activation.maps, (0, 0, 0, 0, 1, 0), value=self.threshold)
        return F.pad(activation.classes + 1, (1, 0))[maps.argmax(dim=0)]

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[Activation]:  # noqa: ARG002
        deep = batch["deep"] if "deep" in batch else self.trunk.deep_looks(batch["image"], self.variants)
        sizes = [(int(height), int(width)) for height, width in batch["size"]]
        return [self._activation(*image) for image in zip(batch["image_id"], batch["tags"], deep, sizes, strict=True)]

    def _activation(
        self, image_id: str, tags: Tensor, deep: dict[Variant, Tensor], size: tuple[int, int]
    ) -> Activation:
        classes = tags.nonzero()[:, 0]
        rows = self.linear.weight[classes]
        with torch.autocast(rows.device.type, enabled=False):
            maps = scaled_activation(activation_sum(deep, rows, size, corners=self.trunk.corners))
        return Activation(image_id, classes, maps)

    def configure_optimizers(self) -> Any:
        total = int(self.trainer.estimated_stepping_batches)
        return optimisation(
            [*self.trunk.learnable(), *self.linear.parameters()],
            optimizer=self.optimizer,
            rate=(lambda _: self.rate) if self.scheduler is None else self.scheduler(self.rate, total),
            new=self.linear.parameters(),
            factor=self.new_layers,
        )
