"""The student: a small DeepLab head on two maps of a trunk, trained on masks as if they were true."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wsss_lightning.metrics.segmentation import SegmentationConfusion, mean_iou
from wsss_lightning.metrics.tags import TagScores
from wsss_lightning.nn.backbones import Backbone
from wsss_lightning.nn.description import Node, build, describe
from wsss_lightning.nn.label_prior import with_prior
from wsss_lightning.nn.optimisation import MakeOptimizer, Scheduler, optimisation, polynomial
from wsss_lightning.nn.prediction import Edges, Prediction
from wsss_lightning.nn.seeds import seeded
from wsss_lightning.nn.trunk import PERIOD, Learning, Trunk, Variant, enlarge
from wsss_lightning.ops.pooling import log_sum_exp_pool

_IGNORE = 255
_SHARPNESS = 5.0  # of the pooled probabilities that tell tags


def read_logits(stored: dict[str, Tensor], size: tuple[int, int], *, corners: bool) -> Tensor:
    """What a student's prediction stores, as probabilities (L, *size): logits are resized before the softmax."""
    return enlarge(stored["logits"].float()[None], size, corners=corners)[0].softmax(dim=0)


class Student(pl.LightningModule):
    """3 x 3 convolution on the deep map, ReLU, 1 x 1; 1 x 1 on the shallow map; added. Cross entropy of pixels.

    A batch has lists `shallow`, `deep` of maps (D, h, w) and `mask` (H, W) of images; or `image` (N, 3, H, W) and
    `mask` (N, H, W). 255 is ignored. The loss is the mean over images of the mean over their pixels.

    Args:
        backbone: or its description.
        class_names: the C foreground classes; L = C + 1.
        stride: px of a cell of the maps.
        trunk: what of the backbone learns.
        hidden: filters of the 3 x 3 convolution.
        dilation: cells between its taps.
        rate: of learning.
        new_layers: by which the head's rate is higher.
        seed: of its initial weights.
        optimizer: None for Adam.
        scheduler: of the rate; None for polynomial decay.
        prior: see `nn.label_prior.with_prior`.
    """

    def __init__(
        self,
        *,
        backbone: Backbone | Node,
        class_names: Sequence[str],
        stride: int = 16,
        trunk: Learning = "frozen",
        hidden: int = 256,
        dilation: int = 6,
        rate: float = 1e-4,
        new_layers: float = 1.0,
        seed: int = 0,
        optimizer: MakeOptimizer | Node | None = None,
        scheduler: Scheduler | Node | None = None,
        prior: float = 0.0,
    ) -> None:
        super().__init__()
        plain = {"class_names": [*class_names], "stride": stride, "trunk": trunk, "hidden": hidden}
        plain |= {"dilation": dilation, "rate": rate, "new_layers": new_layers, "seed": seed, "prior": prior}
        described = {"backbone": backbone, "optimizer": optimizer, "scheduler": scheduler}
        self.save_hyperparameters(plain | {name: describe(value) for name, value in described.items()})
        self.trunk = Trunk(build(backbone), stride=stride, learning=trunk)
        labels, (shallow, deep) = len(class_names) + 1, self.trunk.channels
        with seeded(seed):
            self.context = nn.Conv2d(deep, hidden, 3, dilation=dilation, padding=dilation)
            self.out = nn.Conv2d(hidden, labels, 1)
            self.detail = nn.Conv2d(shallow, labels, 1, bias=False)
        self.rate, self.new_layers, self.prior = rate, new_layers, prior
        self.optimizer, self.scheduler = build(optimizer) or torch.optim.Adam, build(scheduler) or polynomial
        self.tag_scores, self.confusion = TagScores(), SegmentationConfusion(labels)
        self.reading = partial(read_logits, corners=self.trunk.corners)  # see `stages.predict`

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) -> logits (N, L, H, W), 0 background."""
        size = (images.shape[-2], images.shape[-1])
        return self.trunk.enlarge(self.scores(*self.trunk.look(images, Variant())), size)

    @property
    def edges(self) -> Edges:
        """Of the images that the trunk takes as they are."""
        return Edges(PERIOD, int(self.trunk.corners))

    def probabilities(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) of a size of `edges` -> (N, L, H, W): what `wsss export` writes."""
        size = (images.shape[-2], images.shape[-1])
        return self.trunk.enlarge(self.scores(*self.trunk(images)), size).softmax(dim=1)

    def scores(self, shallow: Tensor, deep: Tensor) -> Tensor:
        """Maps (N, D, h, w), (N, E, h, w) -> logits of their cells (N, L, h, w)."""
        return self.out(torch.relu(self.context(deep))) + self.detail(shallow)  # type: ignore[no-any-return]

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:  # noqa: ARG002
        losses = [self._loss(*each) for each in zip(self._each_scores(batch), batch["mask"], strict=True)]
        loss: Tensor = torch.stack(losses).mean() * batch["share"]
        self.log("train/loss", loss, batch_size=len(losses), sync_dist=True)
        return loss

    def _each_scores(self, batch: dict[str, Any]) -> list[Tensor]:
        """Logits (1, L, h, w) of each image of a batch."""
        if "deep" in batch:
            return [self.scores(s[None], d[None]) for s, d in zip(batch["shallow"], batch["deep"], strict=True)]
        return [each[None] for each in self.scores(*self.trunk.look(batch["image"], Variant()))]

    def _loss(self, scores: Tensor, mask: Tensor) -> Tensor:
        logits = self.trunk.enlarge(scores, (mask.shape[-2], mask.shape[-1])).float()
        total = F.cross_entropy(with_prior(logits, self.prior), mask[None], ignore_index=_IGNORE, reduction="sum")
        return total / (mask != _IGNORE).sum().clamp_min(1)

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:  # noqa: ARG002
        pooled = [log_sum_exp_pool(s.float().softmax(dim=1)[:, 1:], _SHARPNESS) for s in self._each_scores(batch)]
        self.tag_scores.update(torch.cat(pooled), batch["tags"])

    def on_validation_epoch_end(self) -> None:
        """How well the tags of images are told that were not trained on."""
        self.log_dict({f"val/{name}": value for name, value in self.tag_scores.compute().items()})
        self.tag_scores.reset()

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> None:  # noqa: ARG002
        for scores, target in zip(self._each_scores(batch), batch["target"], strict=True):
            self.confusion.update(self._labels(scores, (target.shape[0], target.shape[1])), target)

    def on_test_epoch_end(self) -> None:
        """Mean IoU over the images, at their own size."""
        self.log("test/miou", mean_iou(self.confusion.compute()))
        self.confusion.reset()

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[Prediction]:  # noqa: ARG002
        sizes = [(int(height), int(width)) for height, width in batch["size"]]
        each = zip(batch["image_id"], self._each_scores(batch), sizes, strict=True)
        return [Prediction(i, self._labels(scores, size), {"logits": scores[0].half()}) for i, scores, size in each]

    def _labels(self, scores: Tensor, size: tuple[int, int]) -> Tensor:
        # Of what is stored, so that the mask is what can be read again.
        return self.trunk.enlarge(scores.half().float(), size)[0].argmax(dim=0)

    def configure_optimizers(self) -> Any:
        head = [*self.context.parameters(), *self.out.parameters(), *self.detail.parameters()]
        return optimisation(
            [*self.trunk.learnable(), *head],
            optimizer=self.optimizer,
            rate=self.scheduler(self.rate, int(self.trainer.estimated_stepping_batches)),
            new=head,
            factor=self.new_layers,
        )
