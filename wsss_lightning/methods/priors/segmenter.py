"""A segmenter that learns from tags and, at most, rough masks made from them (priors sec. 3.2 and 4.2.1)."""

from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional as F

from wsss_lightning.methods.priors.losses import class_mask_loss, foreground_loss, tag_loss
from wsss_lightning.metrics.tags import average_precision
from wsss_lightning.nn.deeplab import DeepLab
from wsss_lightning.nn.optimisation import descent, optimisation, phases
from wsss_lightning.ops.pooling import log_sum_exp_pool

WeakLoss = Callable[[Tensor, Tensor, Tensor | None], Tensor]
_SHARPNESS = 5.0  # r of the scores that tell tags, as in the losses (sec. 3.2)


class SegmenterModule(pl.LightningModule):
    """Trains a segmenter by one of the losses below on the probabilities of every pixel.

    Args:
        segmenter: what is trained.
        loss: of probabilities S (N, L, H, W), present labels (N, L) bool, background included, and the labels
            (N, H, W) of the weak masks, None where there are none.
        rates: see `nn.optimisation.phases`.
        steps: see `nn.optimisation.phases`.
    """

    def __init__(self, *, segmenter: DeepLab, loss: WeakLoss, rates: Sequence[float], steps: Sequence[int]) -> None:
        super().__init__()
        self.segmenter = segmenter
        self.loss, self.rates, self.steps = loss, tuple(rates), tuple(steps)
        self._seen: list[tuple[Tensor, Tensor]] = []

    def training_step(self, batch: dict[str, Any], _: int) -> Tensor:
        probs = self.segmenter(batch["image"]).softmax(dim=1)  # eq 9
        loss = self.loss(probs, with_background(batch["tags"]), batch.get("mask"))
        self.log("train/loss", loss, batch_size=len(probs))
        return loss

    def validation_step(self, batch: dict[str, Any], _: int) -> None:
        probs = self.segmenter(batch["image"]).softmax(dim=1)
        self._seen.append((log_sum_exp_pool(probs[:, 1:], _SHARPNESS), batch["tags"]))  # eq 11

    def on_validation_epoch_end(self) -> None:
        """Average precision of the tags of images that were not trained on: what rates are chosen by."""
        scores, tags = (torch.cat(column) for column in zip(*self._seen, strict=True))
        self._seen.clear()
        self.log("val/tag_ap", average_precision(scores, tags).nanmean().float())

    def configure_optimizers(self) -> Any:
        return optimisation(self.segmenter.parameters(), optimizer=descent, rate=phases(self.rates, self.steps))


def with_background(tags: Tensor) -> Tensor:
    """Tags (N, C) -> present labels (N, L); background is in every image."""
    return F.pad(tags, (1, 0), value=True)


def tags_alone(probs: Tensor, present: Tensor, labels: Tensor | None, *, sharpness: float) -> Tensor:
    """Eq 10: no mask is looked at."""
    del labels
    return tag_loss(probs, present, sharpness)


def foreground_masks(probs: Tensor, present: Tensor, labels: Tensor | None, *, sharpness: float) -> Tensor:
    """Eq 12: M is where `labels` (N, H, W) are not 0."""
    return foreground_loss(probs, present, _required(labels) > 0, sharpness)


def class_masks(probs: Tensor, present: Tensor, labels: Tensor | None, *, sharpness: float) -> Tensor:
    """Eq 15: M_k is where `labels` (N, H, W) are k; one of no label, 255, is in none."""
    masks = _required(labels)[:, None] == torch.arange(probs.shape[1], device=probs.device).view(1, -1, 1, 1)
    return class_mask_loss(probs, present, masks, sharpness)


def _required(labels: Tensor | None) -> Tensor:
    if labels is None:
        raise ValueError("this loss needs masks; tags_alone does without")
    return labels
