"""The segmenter of one class: learns from tags of images, tells the class at every pixel (patches sec. 3)."""

import math
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional as F

from wsss_lightning.errors import InputError
from wsss_lightning.methods.patches.network import PatchNetwork, probability
from wsss_lightning.metrics.segmentation import SegmentationConfusion, mean_iou
from wsss_lightning.metrics.single_class import accuracies, one_against_all
from wsss_lightning.metrics.tags import TagScores
from wsss_lightning.nn.description import Node, build, describe
from wsss_lightning.nn.optimisation import MakeOptimizer, Rate, Scheduler, optimisation
from wsss_lightning.nn.prediction import Edges, Prediction
from wsss_lightning.ops.resize import resize_map, resize_maps

Pooling = Callable[[Tensor], Tensor]
MakePatchNetwork = Callable[..., PatchNetwork]
_LEVELS = 65535


class PatchModule(pl.LightningModule):
    """Learns from `patches` (B N, 3, size, size), image by image, and `positive` (B,): which images show the class.

    Arguments may also be given as descriptions (`nn.description`).

    Args:
        network: `network.PatchNetwork` with its settings.
        pooling: one of `ops.pooling`, of the N scores of each column to that of the image (eqs 1 and 3).
        rate: of gradient descent.
        target: name of the class.
        threshold: theta of eq 5, for predictions and tests.
        seed: of the first weights.
        optimizer: makes another one than plain gradient descent.
        scheduler: of the rate, which else stays as it is.
    """

    def __init__(
        self,
        *,
        network: MakePatchNetwork | Node,
        pooling: Pooling | Node,
        rate: float,
        target: str,
        threshold: float = 0.5,
        seed: int = 0,
        optimizer: MakeOptimizer | Node | None = None,
        scheduler: Scheduler | Node | None = None,
    ) -> None:
        super().__init__()
        plain = {"rate": rate, "target": target, "threshold": threshold, "seed": seed}
        objects = {"network": network, "pooling": pooling, "optimizer": optimizer, "scheduler": scheduler}
        self.save_hyperparameters({**plain, **{name: describe(value) for name, value in objects.items()}})
        self.network: PatchNetwork = build(network)(generator=torch.Generator().manual_seed(seed))
        self.pooling: Pooling = build(pooling)
        self.rate, self.target, self.threshold = rate, target, threshold
        self.optimizer: MakeOptimizer = build(optimizer) or torch.optim.SGD
        self.scheduler: Scheduler | None = build(scheduler)
        self.tag_scores, self.confusion = TagScores(), SegmentationConfusion(2)
        self.reading = read_levels

    def forward(self, images: Tensor) -> Tensor:
        """p(c = 1) of the patch around every pixel, (N, 3, H, W) -> (N, H, W)."""
        return probability(self.network.dense(images))

    @property
    def edges(self) -> Edges:
        """Of the images that the pools of the dense pass divide."""
        return Edges(math.prod(self.network.pools))

    def probabilities(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) of a size of `edges` -> (N, 2, H, W): what `wsss export` writes."""
        return _both(self(images))

    def onnx_probabilities(self, images: Tensor) -> Tensor:
        """`probabilities` without the interleaved maps, which ONNX's exporter does not follow at free sizes."""
        return _both(probability(self.network.dilated(images)))

    def image_scores(self, batch: dict[str, Any]) -> Tensor:
        """f, (B, 2): foreground, background."""
        scores = self.network(batch["patches"]).unflatten(0, (len(batch["positive"]), -1))
        return self.pooling(scores)

    def training_step(self, batch: dict[str, Any], _: int) -> Tensor:
        """Eq 4, the sum over all images of the step, however devices and accumulated batches share them."""
        background = (~batch["positive"]).long()
        loss = F.cross_entropy(self.image_scores(batch), background, reduction="sum")
        mean = loss.detach() / len(background) * batch["share"]
        self.log("train/loss", mean, batch_size=len(background), sync_dist=True)
        # Lightning averages over devices and over accumulated batches.
        return loss * (self.trainer.world_size * self.trainer.accumulate_grad_batches)

    def on_validation_epoch_start(self) -> None:
        self.tag_scores.reset()

    def validation_step(self, batch: dict[str, Any], _: int) -> None:
        self.tag_scores.update(probability(self.image_scores(batch))[:, None], batch["positive"][:, None])

    def on_validation_epoch_end(self) -> None:
        """How well the tag of images that were not trained on is told: what rates are chosen by."""
        self.log_dict({f"val/{name}": value for name, value in self.tag_scores.compute().items()})

    def test_step(self, batch: dict[str, Any], _: int) -> None:
        label = self._label()
        for probs, target in zip(self(batch["image"]), batch["target"], strict=True):
            above = resize_map(probs, (target.shape[0], target.shape[1])) > self.threshold
            self.confusion.update(above.to(target.dtype), one_against_all(target, label=label))

    def on_test_epoch_end(self) -> None:
        """AP, which is the IoU of the class, its two accuracies (`metrics.single_class`), and mIoU with background."""
        confusion = self.confusion.compute()
        figures = {"miou": mean_iou(confusion), **accuracies(confusion)}
        self.log_dict({f"test/{name}": value for name, value in figures.items()})
        self.confusion.reset()

    def predict_step(self, batch: dict[str, Any], _: int) -> list[Prediction]:
        """Labels and probabilities of images at their own size."""
        label, predictions = self._label(), []
        images = zip(batch["image_id"], self(batch["image"]), batch["size"].tolist(), strict=True)
        for image_id, probs, (height, width) in images:
            probs = resize_map(probs, (height, width))
            levels = (probs.float() * _LEVELS).round().cpu().to(torch.uint16)
            predictions.append(Prediction(image_id, (probs > self.threshold) * label, {"levels": levels}))
        return predictions

    def configure_optimizers(self) -> Any:
        rate: Rate = lambda _: self.rate  # noqa: E731
        if self.scheduler is not None:
            rate = self.scheduler(self.rate, int(self.trainer.estimated_stepping_batches))
        return optimisation(self.network.parameters(), optimizer=self.optimizer, rate=rate)

    def _label(self) -> int:
        """The class's label in the data module that is looked at; 1 without one."""
        names = getattr(getattr(self._trainer, "datamodule", None), "class_names", (self.target,))
        if self.target not in names:
            raise InputError(f"The data set has no class {self.target!r}: it has {', '.join(names)}.")
        return 1 + list(names).index(self.target)


def read_levels(stored: dict[str, Tensor], size: tuple[int, int]) -> Tensor:
    """What a prediction stores -> probabilities (2, *size) of background and class, to within 1e-5."""
    return _both(resize_maps((stored["levels"].float() / _LEVELS)[None, None], size)[:, 0])[0]


def _both(probs: Tensor) -> Tensor:
    """p(c = 1), (N, H, W) -> background and class, (N, 2, H, W)."""
    return torch.stack([1 - probs, probs], dim=1)
