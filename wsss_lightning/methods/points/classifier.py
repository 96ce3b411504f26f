"""The point classifier: a per-location network trained on sampled points (points sec. 3.3 and 4.1)."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wsss_lightning.methods.points.hypercolumn_module import LabellingModule
from wsss_lightning.nn.backbones import Backbone, Features
from wsss_lightning.nn.description import Node, build, describe
from wsss_lightning.nn.hypercolumns import Size, Standardisation, perceptron_on_maps, unit_statistics
from wsss_lightning.nn.optimisation import MakeOptimizer, Rate, Scheduler, optimisation
from wsss_lightning.nn.precision import to_float16
from wsss_lightning.nn.prediction import Edges, Prediction
from wsss_lightning.nn.seeds import seeded
from wsss_lightning.ops.resize import resize_maps

ADAM: MakeOptimizer = partial(torch.optim.Adam, fused=True)
_IGNORE = 255


class PointClassifier(nn.Module):
    """Hypercolumn and global vector -> 512 units -> ReLU -> L labels, with a receptive field of one location.

    `statistics` hands raw features on unless it is enabled; `global_size`: G, 0 for none; `global_statistics`: of the
    global vector, None to hand it on as it is.
    """

    def __init__(
        self,
        *,
        statistics: Standardisation,
        global_size: int,
        hidden: int,
        num_labels: int,
        global_statistics: Standardisation | None = None,
    ) -> None:
        super().__init__()
        self.statistics, self.global_statistics = statistics, global_statistics or nn.Identity()
        self.local = nn.Linear(len(statistics.mean), hidden)
        self.whole = nn.Linear(global_size, hidden, bias=False) if global_size else None
        self.out = nn.Linear(hidden, num_labels)

    def forward(self, rows: Tensor, pooled: Tensor) -> Tensor:
        """Points (P, D) and their images' global vectors (P, G) -> logits (P, L)."""
        hidden = self.local(self.statistics(rows))
        hidden = hidden if self.whole is None else hidden + self.whole(self.global_statistics(pooled))
        return self.out(torch.relu(hidden))  # type: ignore[no-any-return]

    def on_maps(self, features: Features, grid: Size) -> Tensor:
        """Logits of every location of the images, (N, L, *grid)."""
        maps = self.statistics.on_maps(features.maps)
        shift = None if self.whole is None else self.whole(self.global_statistics(features.pooled))
        return perceptron_on_maps(maps, self.local, self.out, grid, shift=shift, corners=features.corners)


def label_probabilities(stored: dict[str, Tensor], size: Size) -> Tensor:
    """What a prediction stores, read as probabilities (L, *size): logits are resized before the softmax."""
    return resize_maps(stored["logits"].float()[None], size)[0].softmax(dim=0)


class PointClassifierModule(LabellingModule):
    """Softmax loss over batches of points; Adam at a fixed rate (paper: 1e-6, momentum 0.9).

    A training batch has `features` (P, D), `pooled` (P, G) and `labels` (P,) of points; or `image` and `mask`
    (N, H, W), whose 255 are left out.

    Args:
        class_names: see `LabellingModule`.
        backbone: see `HypercolumnModule`; it stays as it is.
        grid: see `HypercolumnModule`.
        statistics: or its description; None for raw features, the paper's.
        global_statistics: of the global vector, likewise.
        global_features: the classifier sees the global vector, too (sec. 4.1).
        hidden: units.
        rate: of learning.
        seed: of the initial weights.
        optimizer: None for Adam.
        scheduler: of the rate; None for a fixed one.
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
        rate: float = 1e-6,
        seed: int = 0,
        optimizer: MakeOptimizer | Node | None = None,
        scheduler: Scheduler | Node | None = None,
        global_statistics: Standardisation | Node | None = None,
    ) -> None:
        super().__init__(class_names=class_names, backbone=backbone, grid=grid, global_features=global_features)
        settings = {"class_names": [*class_names], "hidden": hidden, "rate": rate, "seed": seed}
        described = {"statistics": statistics, "optimizer": optimizer, "scheduler": scheduler}
        described |= {} if global_statistics is None else {"global_statistics": global_statistics}
        self.save_hyperparameters(settings | {name: describe(value) for name, value in described.items()})
        self.rate, self.optimizer, self.scheduler = rate, build(optimizer), build(scheduler)
        with seeded(seed):
            self.classifier = PointClassifier(
                statistics=build(statistics) or unit_statistics(sum(self.backbone.channels)),
                global_size=self.backbone.global_size if global_features else 0,
                hidden=hidden,
                num_labels=len(class_names) + 1,
                global_statistics=build(global_statistics),
            )

    reading = staticmethod(label_probabilities)  # see `stages.predict`
    edges = Edges()

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) -> logits (N, L, H, W), 0 background."""
        height, width = images.shape[-2:]
        return resize_maps(self.classifier.on_maps(self.extracted(images), self.grid), (height, width))

    def probabilities(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) -> (N, L, H, W): what `wsss export` writes."""
        return self(images).softmax(dim=1)  # type: ignore[no-any-return]

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:  # noqa: ARG002
        loss: Tensor = self.loss(batch) * batch["share"]
        self.log("train/loss", loss, batch_size=1, sync_dist=True)
        return loss

    def loss(self, batch: dict[str, Any]) -> Tensor:
        """Mean over the points, or over all locations of the grid, where those that are left out count 0."""
        if "mask" not in batch:
            with torch.autocast(self.device.type, enabled=False):  # two small layers: nothing to be gained
                return F.cross_entropy(self.classifier(batch["features"], batch["pooled"]), batch["labels"])
        logits = self.classifier.on_maps(self.features_of(batch), self.grid)
        labels = F.interpolate(batch["mask"][:, None].float(), self.grid, mode="nearest-exact")[:, 0].long()
        return F.cross_entropy(logits, labels, ignore_index=_IGNORE, reduction="sum") / labels.numel()

    def predictions(self, features: Features, batch: dict[str, Any]) -> list[Prediction]:
        images = enumerate(zip(batch["image_id"], batch["size"].tolist(), strict=True))
        # One by one: what else is in the batch changes no bit.
        return [self._prediction(features.of_image(index), image_id, size) for index, (image_id, size) in images]

    def _prediction(self, features: Features, image_id: str, size: Sequence[int]) -> Prediction:
        logits = self.classifier.on_maps(features, self.grid)[0]
        stored = {"logits": to_float16(logits, what=f"A logit of {image_id}")}
        # Of what is stored, so that both tell the same.
        full = resize_maps(stored["logits"].float()[None], (size[0], size[1]))[0]
        return Prediction(image_id, full.argmax(dim=0), stored)

    def image_scores(self, features: Features) -> Tensor:
        return self.classifier.on_maps(features, self.grid).softmax(dim=1)[:, 1:].amax(dim=(2, 3))

    def configure_optimizers(self) -> Any:
        return optimisation(self.classifier.parameters(), optimizer=self.optimizer or ADAM, rate=self.schedule())

    def schedule(self) -> Rate:
        """The rate of every step."""
        if self.scheduler is None:
            return lambda _: self.rate
        return self.scheduler(self.rate, int(self.trainer.estimated_stepping_batches))  # type: ignore[no-any-return]
