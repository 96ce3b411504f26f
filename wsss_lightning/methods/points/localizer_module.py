"""Localizers trained from tags by multiple-instance learning (points sec. 3.1 and 4.1)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from wsss_lightning.methods.points.classifier import ADAM
from wsss_lightning.methods.points.hypercolumn_module import LabellingModule
from wsss_lightning.methods.points.localizers import (
    Localizer,
    Localizers,
    Pooling,
    reached_locations,
    score_probabilities,
)
from wsss_lightning.methods.points.mil import global_logits
from wsss_lightning.nn.backbones import Backbone, Features
from wsss_lightning.nn.description import Node, build, describe
from wsss_lightning.nn.hypercolumns import Size, Standardisation, hypercolumns_at, unit_statistics
from wsss_lightning.nn.optimisation import MakeOptimizer, Rate, Scheduler, optimisation, scheduled
from wsss_lightning.nn.prediction import Prediction


class LocalizerModule(LabellingModule):
    """Trains `Localizers` from tags: the classes sampled for an image, multiple-instance log-loss.

    `pooling` is the logit of points eq 1 or eq 2. Either reaches the loss through one or two locations of an image, so
    these are looked up first and the loss is back-propagated through them alone, which is exact. A class that is not
    sampled for an image gets no gradient, and Adam leaves parameters without one as they are: training all classes
    together equals training each by itself.

    A batch has `image` or stored features (see `LabellingModule`), `tags` (N, C) and, for training, `classes`: the
    indices of those that learn from it; all without it. For prediction `present` (N, C) says which classes are scored.

    Args:
        class_names: see `LabellingModule`.
        backbone: see `HypercolumnModule`; it stays as it is.
        grid: see `HypercolumnModule`.
        rates: learning rate of each phase (paper: 1e-4 for two epochs, then 1e-5 for one).
        steps: of each phase.
        statistics: or its description; None for raw features, the paper's.
        global_features: localizers see the global vector, too.
        hidden: units.
        pooling: see above.
        seed: of the initial weights.
        optimizer: None for Adam (sec. 4.1; its first moment, 0.9, is the paper's momentum).
        scheduler: of the first of `rates`; None for the phases.
    """

    def __init__(
        self,
        *,
        class_names: Sequence[str],
        backbone: Backbone | Node,
        grid: Sequence[int],
        rates: Sequence[float],
        steps: Sequence[int],
        statistics: Standardisation | Node | None = None,
        global_features: bool = False,
        hidden: int = 1024,
        pooling: Pooling | Node = global_logits,
        seed: int = 0,
        optimizer: MakeOptimizer | Node | None = None,
        scheduler: Scheduler | Node | None = None,
    ) -> None:
        super().__init__(class_names=class_names, backbone=backbone, grid=grid, global_features=global_features)
        settings = {"class_names": [*class_names], "rates": [*rates], "steps": [*steps], "hidden": hidden, "seed": seed}
        parts = {"statistics": statistics, "pooling": pooling, "optimizer": optimizer, "scheduler": scheduler}
        self.save_hyperparameters(settings | {name: describe(value) for name, value in parts.items()})
        self.rates, self.steps = tuple(rates), tuple(steps)
        self.pooling: Pooling = build(pooling)
        self.optimizer, self.scheduler = build(optimizer), build(scheduler)
        columns = sum(self.backbone.channels) + (self.backbone.global_size if global_features else 0)
        self.localizers = Localizers(
            statistics=build(statistics) or unit_statistics(columns),
            class_names=class_names,
            hidden=hidden,
            with_global=global_features,
            seed=seed,
            corners=self.backbone.corners,
        )

    @property
    def reading(self) -> Callable[[dict[str, Tensor], Size], Tensor]:
        """See `stages.predict`."""
        return partial(score_probabilities, num_labels=len(self.class_names) + 1)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) -> scores (N, C, 2, *grid): S and its background twin."""
        return self.scores(self.extracted(images))

    def scores(self, features: Features) -> Tensor:
        """The same of features."""
        return self.localizers(features, range(len(self.class_names)), self.grid)  # type: ignore[no-any-return]

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:  # noqa: ARG002
        classes = batch.get("classes", range(len(self.class_names)))
        prepared = self.localizers.prepare(self.features_of(batch))
        losses = [
            self.loss([each[index : index + 1] for each in prepared], c, tags[c])
            for index, tags in enumerate(batch["tags"])
            for c in classes
        ]
        # A sum over classes, which are independent problems, and a mean over images.
        loss: Tensor = torch.stack(losses).sum() * batch["share"] / len(batch["tags"])
        self.log("train/loss", loss / len(classes), batch_size=1, sync_dist=True)
        return loss

    def loss(self, maps: list[Tensor], c: int, present: Tensor) -> Tensor:
        """Of one image, N = 1, and one class."""
        localizer = self.localizers.classes[c]
        assert isinstance(localizer, Localizer)
        with torch.no_grad():
            scores = localizer.score_maps(maps, self.grid)[0]
        reached = reached_locations(scores, self.pooling)
        with torch.autocast(self.device.type, enabled=False):  # one or two locations: nothing to be gained
            rows = hypercolumns_at(maps, reached, self.grid, corners=self.backbone.corners)
            foreground, background = localizer(rows).T
        logit = self.pooling(foreground.reshape(1, 1, -1), background.reshape(1, 1, -1))
        return F.binary_cross_entropy_with_logits(logit, present.float().reshape(1))

    def image_scores(self, features: Features) -> Tensor:
        return torch.stack([self.pooling(each[:, 0], each[:, 1]) for each in self.scores(features)])

    def predictions(self, features: Features, batch: dict[str, Any]) -> list[Prediction]:
        everywhere = torch.ones(len(batch["image_id"]), len(self.class_names), dtype=torch.bool)
        present = [each.nonzero().flatten() for each in batch.get("present", everywhere)]
        images = enumerate(zip(batch["image_id"], present, batch["size"].tolist(), strict=True))
        return [self._prediction(features.of_image(index), *image) for index, image in images]

    def _prediction(self, features: Features, image_id: str, classes: Tensor, size: Sequence[int]) -> Prediction:
        scores = self.localizers(features, classes.tolist(), self.grid)[0]
        stored = {"scores": scores, "present": classes.to(scores.device) + 1}
        return Prediction(image_id, self.reading(stored, (size[0], size[1])).argmax(dim=0), stored)

    def configure_optimizers(self) -> Any:
        parameters = self.localizers.classes.parameters()
        return optimisation(parameters, optimizer=self.optimizer or ADAM, rate=self.schedule())

    def schedule(self) -> Rate:
        """The rate of every step."""
        return scheduled(self.scheduler, self.rates, self.steps, self)


def joined(parts: Sequence[LocalizerModule], class_names: Sequence[str]) -> LocalizerModule:
    """The localizers `class_names` of several modules as one, each with its own weights, the rest of the first's."""
    localizers = {
        name: one for part in parts for name, one in zip(part.class_names, part.localizers.classes, strict=True)
    }
    first = parts[0]
    own = {"backbone": first.backbone, "pooling": first.pooling, "class_names": [*class_names]}
    whole = LocalizerModule(**{**first.hparams, **own})
    whole.load_state_dict(first.state_dict(), strict=False)
    for name, localizer in zip(class_names, whole.localizers.classes, strict=True):
        localizer.load_state_dict(localizers[name].state_dict())
    return whole
