"""What the paper's networks stand on: hypercolumns of a fixed backbone, computed from images or read from a store."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from wsss_lightning.metrics.segmentation import SegmentationConfusion, mean_iou
from wsss_lightning.metrics.tags import TagScores
from wsss_lightning.nn.backbones import Backbone, Features, freeze
from wsss_lightning.nn.description import Node, build, describe
from wsss_lightning.nn.hypercolumns import Size, compact
from wsss_lightning.nn.prediction import Prediction


class HypercolumnModule(pl.LightningModule):
    """Hypercolumns of images by one pass of the backbone (points sec. 4.1).

    Args:
        backbone: or its description.
        grid: height and width at which all maps are seen (paper: a quarter of the input).
        global_features: the global vector, too.

    Raises:
        InputError: the backbone has no global vector.
    """

    def __init__(self, *, backbone: Backbone | Node, grid: Sequence[int], global_features: bool) -> None:
        super().__init__()
        settings = {"backbone": describe(backbone), "grid": [*grid], "global_features": global_features}
        self.save_hyperparameters(settings)
        self.backbone: Backbone = build(backbone)
        self.grid: Size = (grid[0], grid[1])
        self.global_features = global_features
        if global_features:
            self.backbone.require_global()
        freeze(self.backbone)

    def train(self, mode: bool = True) -> "HypercolumnModule":
        """Training mode for all but the backbone: a few images are too few for batch norm's statistics."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, images: Tensor) -> Any:
        """Normalised images (N, 3, H, W) -> `Features` whose maps are none finer than the grid."""
        return self.extracted(images)

    def extracted(self, images: Tensor) -> Features:
        """See `forward`, which networks on hypercolumns have of their own."""
        features = self.backbone.features(images, with_global=self.global_features)
        return Features(maps=compact(features.maps, self.grid), pooled=features.pooled, corners=features.corners)

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[Any]:  # noqa: ARG002
        """Each image's id and features (N = 1)."""
        features = self.extracted(batch["image"])
        return [(image_id, features.of_image(index)) for index, image_id in enumerate(batch["image_id"])]


class LabellingModule(HypercolumnModule):
    """A network on hypercolumns that labels pixels: all its steps but the training of it.

    A batch has `image` or, read from a store, `maps` and `pooled` in its place.

    Args:
        class_names: of labels 1..C.
        backbone: see `HypercolumnModule`.
        grid: see `HypercolumnModule`.
        global_features: the network sees the global vector, too.
    """

    def __init__(
        self, *, class_names: Sequence[str], backbone: Backbone | Node, grid: Sequence[int], global_features: bool
    ) -> None:
        super().__init__(backbone=backbone, grid=grid, global_features=global_features)
        self.class_names = tuple(class_names)
        self.tag_scores = TagScores()
        self.confusion = SegmentationConfusion(len(self.class_names) + 1)

    def features_of(self, batch: dict[str, Any]) -> Features:
        """Features of a batch's images."""
        if "image" in batch:
            return self.extracted(batch["image"])
        # Channels last: on a CPU, resizing and multiplying many channels is several times faster in this layout.
        maps = [each.to(torch.float32, memory_format=torch.channels_last) for each in batch["maps"]]
        return Features(maps=maps, pooled=batch["pooled"], corners=self.backbone.corners)

    def predictions(self, features: Features, batch: dict[str, Any]) -> list[Prediction]:
        """Of every image of a batch."""
        raise NotImplementedError

    def image_scores(self, features: Features) -> Tensor:
        """How sure every image shows every class, (N, C)."""
        raise NotImplementedError

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:  # noqa: ARG002
        self.tag_scores.update(self.image_scores(self.features_of(batch)), batch["tags"])

    def on_validation_epoch_end(self) -> None:
        """Average precision of the tags of images that were not trained on: what rates are chosen by."""
        self.log("val/tag_ap", self.tag_scores.compute()["tag_ap"])
        self.tag_scores.reset()

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        for prediction, target in zip(self.predict_step(batch, batch_idx), batch["target"], strict=True):
            self.confusion.update(prediction.labels, target)

    def on_test_epoch_end(self) -> None:
        self.log("test/miou", mean_iou(self.confusion.compute()))
        self.confusion.reset()

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[Prediction]:  # noqa: ARG002
        return self.predictions(self.features_of(batch), batch)
