"""Localizers: one small per-location network per class, trained from tags (points sec. 3.1 and 4.1)."""

from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wsss_lightning.methods.points.mil import global_logits
from wsss_lightning.metrics.tags import average_precision
from wsss_lightning.nn.backbones import Features
from wsss_lightning.nn.hypercolumns import Size, Standardisation, hypercolumns_at, linear_on_maps

Pooling = Callable[[Tensor, Tensor], Tensor]


def inputs(seen: Features, *, with_global: bool) -> list[Tensor]:
    """The maps of one image that localizers see; the global vector, as one more map of a single location, if asked.

    The paper's localizers do without fc7: it "makes localization worse" (sec. 4.1).
    """
    return [*seen.maps, seen.pooled[:, :, None, None]] if with_global else seen.maps


class Localizer(nn.Module):
    """1x1 convolution with `hidden` units, ReLU, 1x1 convolution with 2 units: S and its background twin."""

    def __init__(self, *, features: int, hidden: int) -> None:
        super().__init__()
        self.first = nn.Linear(features, hidden)
        self.second = nn.Linear(hidden, 2)

    def reset(self) -> None:
        """Draw new weights from torch's generator."""
        self.first.reset_parameters()
        self.second.reset_parameters()

    def forward(self, rows: Tensor) -> Tensor:
        """Hypercolumns (P, D) -> scores (P, 2), foreground first."""
        return self.second(torch.relu(self.first(rows)))  # type: ignore[no-any-return]

    def score_maps(self, maps: Sequence[Tensor], grid: Size) -> Tensor:
        """The same at every location of one image: (2, *grid)."""
        hidden = torch.relu(linear_on_maps(maps, self.first.weight, self.first.bias, grid))
        weight = self.second.weight[:, :, None, None]
        return F.conv2d(hidden, weight, self.second.bias)[0]


class Localizers(nn.Module):
    """One `Localizer` per class behind a common standardisation; classes share nothing that is trained."""

    def __init__(
        self, *, statistics: Standardisation, num_classes: int, hidden: int, grid: Size, with_global: bool = False
    ) -> None:
        super().__init__()
        self.statistics = statistics
        self.grid = grid
        self.with_global = with_global
        features = len(statistics.mean)
        self.classes = nn.ModuleList(Localizer(features=features, hidden=hidden) for _ in range(num_classes))

    def prepare(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps of one image as every localizer sees them."""
        starts = [sum(m.shape[1] for m in maps[:index]) for index in range(len(maps))]
        return [self.statistics.on_map(m, start) for m, start in zip(maps, starts, strict=True)]

    def on_image(self, seen: Features, classes: Sequence[int]) -> Tensor:
        """`forward` of one image's features."""
        return self(inputs(seen, with_global=self.with_global), classes)  # type: ignore[no-any-return]

    def forward(self, maps: Sequence[Tensor], classes: Sequence[int]) -> Tensor:
        """Score maps of one image for some classes: (len(classes), 2, *grid), foreground first."""
        prepared = self.prepare(maps)
        return torch.stack([self.classes[c].score_maps(prepared, self.grid) for c in classes])  # type: ignore[operator]


class LocalizerModule(pl.LightningModule):
    """Trains `Localizers` from tags: one image a step, the classes sampled for it, multiple-instance log-loss.

    `pooling` is the logit of points eq 1 or eq 2. Either reaches the loss through one or two locations of an image, so
    these are found first and the loss is back-propagated through them alone, which is exact. A class that is not
    sampled for an image gets no gradient, and Adam leaves parameters without one as they are: training all classes
    together equals training each by itself.

    `rates`: learning rate of each phase (paper: 1e-4 for two epochs, then 1e-5 for one); `ends`: the step at which it
    ends, so that a class sees the same rates whatever other classes make the epochs longer.
    """

    def __init__(
        self,
        *,
        localizers: Localizers,
        rates: Sequence[float],
        ends: Sequence[int],
        pooling: Pooling = global_logits,
    ) -> None:
        super().__init__()
        self.localizers = localizers
        self.pooling = pooling
        self.rates, self.ends = tuple(rates), tuple(ends)
        self._seen: list[tuple[Tensor, Tensor]] = []

    def training_step(self, batch: dict[str, Any], _: int) -> Tensor:
        prepared = self.localizers.prepare(batch["maps"])
        losses = [self._loss(prepared, c, batch["tags"][c]) for c in batch["classes"]]
        loss = torch.stack(losses).sum()  # a sum: classes are independent problems
        self.log("train/loss", loss / len(losses), batch_size=1)
        return loss

    def _loss(self, maps: list[Tensor], c: int, present: Tensor) -> Tensor:
        localizer, grid = self.localizers.classes[c], self.localizers.grid
        assert isinstance(localizer, Localizer)
        with torch.no_grad():
            scores = localizer.score_maps(maps, grid)
        reached = reached_locations(scores, self.pooling)
        foreground, background = localizer(hypercolumns_at(maps, reached, grid)).T
        logit = self.pooling(foreground.reshape(1, 1, -1), background.reshape(1, 1, -1))
        return F.binary_cross_entropy_with_logits(logit, present.float().reshape(1))

    def validation_step(self, batch: dict[str, Any], _: int) -> None:
        scores = self.localizers(batch["maps"], range(len(self.localizers.classes)))
        self._seen.append((self.pooling(scores[:, 0], scores[:, 1]), batch["tags"]))

    def on_validation_epoch_end(self) -> None:
        """Average precision of the tags of images that were not trained on: what rates are chosen by."""
        logits, tags = (torch.stack(list(column)) for column in zip(*self._seen, strict=True))
        self._seen.clear()
        self.log("val/tag_ap", average_precision(logits, tags).nanmean().float())

    def configure_optimizers(self) -> Any:
        """Adam (sec. 4.1; its first moment, 0.9, is the paper's momentum) with one rate per phase."""
        optimizer = torch.optim.Adam(self.localizers.classes.parameters(), lr=1.0, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        return next((rate for rate, end in zip(self.rates, self.ends, strict=True) if step < end), self.rates[-1])


def reached_locations(scores: Tensor, pooling: Pooling) -> Tensor:
    """Flat indices of the locations to which `pooling` passes a gradient; scores (2, h, w) of one image."""
    with torch.enable_grad():
        leaf = scores.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(pooling(leaf[:1], leaf[1:]).sum(), leaf)
    return (gradient != 0).any(dim=0).flatten().nonzero().flatten()
