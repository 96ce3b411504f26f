"""A segmenter that learns from rough masks as if they were true (coseg secs. 3.2 and 3.3)."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional as F

from wsss_lightning.methods.coseg.mask_losses import joint_loss, labelled_pixels, labels_in, pixel_loss
from wsss_lightning.methods.coseg.multi_scale import (
    constrained_labels,
    grey_levels,
    mean_at_size,
    normalised_at,
    read_maps,
    scaled_size,
)
from wsss_lightning.methods.coseg.network import Branch, CosegNetwork, Scores
from wsss_lightning.metrics.segmentation import SegmentationConfusion, mean_iou
from wsss_lightning.metrics.tags import TagScores
from wsss_lightning.nn.backbones import Backbone
from wsss_lightning.nn.deeplab import STRIDE, whole_cells
from wsss_lightning.nn.description import Node, build, describe
from wsss_lightning.nn.label_prior import with_prior
from wsss_lightning.nn.optimisation import MakeOptimizer, Scheduler, descent, optimisation, scheduled
from wsss_lightning.nn.prediction import Edges, Prediction, ProbabilityReading
from wsss_lightning.ops.pooling import log_sum_exp_pool
from wsss_lightning.ops.resize import resize_labels, resize_maps

Present = Literal["mask", "tags"]
MakeNetwork = Callable[..., CosegNetwork]
MaskLoss = Callable[..., Tensor]
_SHARPNESS = 5.0  # of the pooled probabilities that tell tags, as in priors


class CosegModule(pl.LightningModule):
    """The mask generator or the final network: learns from `image`, `mask` and `tags`, tells labels at several scales.

    Arguments may also be given as descriptions (`nn.description`).

    Args:
        backbone: a VGG or a ResNet, taken over.
        network: `network.CosegNetwork` with its sizes.
        branch: see there.
        num_classes: C, without background.
        loss: `mask_loss` with its settings.
        rates: see `nn.optimisation.phases`.
        steps: see `nn.optimisation.phases`.
        seed: of the first weights of what the backbone does not have.
        scales: of the image, at which predictions are made (sec. 4.2).
        tagged: in predictions only background and the tags of the image are possible (eq 2).
        mean: statistics that images are normalised with; None for the backbone's.
        std: likewise.
        optimizer: makes another one than the paper's.
        scheduler: of the rate from `rates[0]` over all `steps`, in place of phases.
        new_layers: by how much the rate of new layers is higher.
    """

    edges = Edges(STRIDE)

    def __init__(
        self,
        *,
        backbone: Backbone | Node,
        network: MakeNetwork | Node,
        branch: Branch | None,
        num_classes: int,
        loss: MaskLoss | Node,
        rates: Sequence[float],
        steps: Sequence[int],
        seed: int = 0,
        scales: Sequence[float] = (1.0,),
        tagged: bool = False,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        optimizer: MakeOptimizer | Node | None = None,
        scheduler: Scheduler | Node | None = None,
        new_layers: float = 1.0,
    ) -> None:
        super().__init__()
        own: Backbone = build(backbone)
        given: dict[str, Any] = {"backbone": backbone, "network": network, "branch": branch, "loss": loss}
        given |= {"num_classes": num_classes, "rates": rates, "steps": steps, "seed": seed}
        given |= {"scales": scales, "tagged": tagged, "mean": mean or own.mean, "std": std or own.std}
        given |= {"optimizer": optimizer, "scheduler": scheduler, "new_layers": new_layers}
        self.save_hyperparameters({name: describe(value) for name, value in given.items()})
        self.network: Any = build(network)(
            own, num_labels=num_classes + 1, branch=branch, generator=torch.Generator().manual_seed(seed)
        )
        self.loss: MaskLoss = build(loss)
        self.scales, self.tagged = tuple(scales), tagged
        self.optimizer, self.scheduler = build(optimizer) or descent, build(scheduler)
        self.tag_scores, self.confusion = TagScores(), SegmentationConfusion(num_classes + 1)
        self.reading = self.own_reading()

    def own_reading(self) -> ProbabilityReading:
        """How probabilities are read from what predictions store, see `stages.predict`."""
        return read_maps

    def forward(self, images: Tensor) -> Tensor:
        """Mean of the softmax maps at all `scales`, (N, 3, H, W) normalised -> (N, L, H, W)."""
        height, width = images.shape[-2:]
        return mean_at_size([each.float() for each in self.maps(images)], (height, width))

    def maps(self, images: Tensor) -> list[Tensor]:
        """Softmax of every scale's scores of normalised images (N, 3, H, W), each (N, L, h, w) float16.

        An image is seen at whole cells; what is not its own size is resized as a picture, in whole grey levels.
        """
        height, width = images.shape[-2:]
        sizes = [scaled_size((height, width), scale, stride=STRIDE) for scale in self.scales]
        return [self.network(self._at(images, size)).pixels.softmax(dim=1).half() for size in sizes]

    def probabilities(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, 8h, 8w) at one scale -> (N, L, 8h, 8w): what `wsss export` writes."""
        pixels = self.network(images).pixels.softmax(dim=1)
        return resize_maps(pixels, (images.shape[-2], images.shape[-1]))

    def _at(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        if size == images.shape[-2:]:
            return images
        mean, std = (torch.tensor(self.hparams[name]).view(3, 1, 1) for name in ("mean", "std"))
        return normalised_at(grey_levels(images, mean, std), size, mean, std).to(images)

    def training_step(self, batch: dict[str, Any], _: int) -> Tensor:
        """Eq 1 or eq 4 of this process's part of the step; the mean over all parts is that of the whole step."""
        scores: Scores = self.network(batch["image"])
        masks, shown = batch.get("step_masks", [batch["mask"]]), batch.get("shown")
        labelled = torch.stack([labelled_pixels(labels_at(mask, scores)) for mask in masks]).sum()
        counted = self._of_each_part(labelled, parts=len(masks))
        loss = self.loss(scores, batch["mask"], batch["tags"], shown=shown, counted=counted, share=batch["share"])
        self.log("train/loss", loss, batch_size=len(batch["image"]), sync_dist=True)
        return loss

    def _of_each_part(self, own: Tensor, *, parts: int) -> Tensor:
        """What the parts of a step have on average, of how much this process's parts have together."""
        total = self.trainer.strategy.reduce(own, reduce_op="sum").clamp_min(1)
        return total / (self.trainer.world_size * parts)

    def on_validation_epoch_start(self) -> None:
        self.tag_scores.reset()

    def validation_step(self, batch: dict[str, Any], _: int) -> None:
        probs = self.network(whole_cells(batch["image"])).pixels.softmax(dim=1)
        self.tag_scores.update(log_sum_exp_pool(probs[:, 1:], _SHARPNESS), batch["tags"])

    def on_validation_epoch_end(self) -> None:
        """Average precision of the tags of images that were not trained on: what rates are chosen by."""
        self.log("val/tag_ap", self.tag_scores.compute()["tag_ap"])

    def on_test_epoch_start(self) -> None:
        self.confusion.reset()

    def test_step(self, batch: dict[str, Any], index: int) -> None:
        for prediction, target in zip(self.predict_step(batch, index), batch["target"], strict=True):
            self.confusion.update(prediction.labels, target)

    def on_test_epoch_end(self) -> None:
        """MIoU of the predictions."""
        self.log("test/miou", mean_iou(self.confusion.compute()))

    def predict_step(self, batch: dict[str, Any], _: int) -> list[Prediction]:
        """Labels of images at their own size, of the maps that are kept: the best of their mean."""
        maps = self.maps(batch["image"])
        images = zip(batch["image_id"], batch["size"].tolist(), batch["tags"], zip(*maps, strict=True), strict=True)
        return [self._prediction(image_id, (size[0], size[1]), tags, own) for image_id, size, tags, own in images]

    def _prediction(self, image_id: str, size: tuple[int, int], tags: Tensor, maps: Sequence[Tensor]) -> Prediction:
        stored = {str(number): each for number, each in enumerate(maps)}
        probs = self.reading(stored, size)
        labels = constrained_labels(probs, tags) if self.tagged else probs.argmax(dim=0)
        return Prediction(image_id, labels, stored)

    def configure_optimizers(self) -> Any:
        return optimisation(
            self.network.parameters(),
            optimizer=self.optimizer,
            rate=scheduled(self.scheduler, self.hparams["rates"], self.hparams["steps"], self),
            new=self.network.new_parameters(),
            factor=self.hparams["new_layers"],
        )


def labels_at(mask: Tensor, scores: Scores) -> Tensor:
    """The labels of masks (N, H, W) at the resolution of the scores, (N, h, w): those at the cells' centres."""
    return resize_labels(mask, (scores.pixels.shape[-2], scores.pixels.shape[-1]))


def mask_loss(
    scores: Scores,
    mask: Tensor,
    tags: Tensor,
    *,
    balance: float,
    present: Present,
    prior: float = 0.0,
    shown: Tensor | None = None,
    counted: Tensor | None = None,
    share: Tensor | float = 1.0,
) -> Tensor:
    """Eq 1, and with a branch eq 4, at the resolution of the scores.

    Args:
        scores: of a `CosegNetwork`.
        mask: labels (N, H, W) in 0..L - 1, or 255.
        tags: of the whole images, (N, C) bool.
        balance: lambda of eq 4.
        present: which labels the branch is to tell: "mask", those of the whole mask, background too, as the authors'
            code, or "tags", the y of the text, and background.
        prior: log odds by which masks show background too often, see `nn.label_prior`; the paper knows none.
        shown: labels of the masks before they were cropped, (N, L or more) bool; None where these are whole.
        counted: see `mask_losses.joint_loss`.
        share: see `mask_losses.joint_loss`.
    """
    labels, pixels = labels_at(mask, scores), with_prior(scores.pixels, prior)
    if scores.image is None:
        return pixel_loss(pixels, labels, counted=counted)
    if present == "tags":
        shown = F.pad(tags, (1, 0), value=True)
    else:
        count = scores.image.shape[1]
        shown = labels_in(mask, count) if shown is None else shown[:, :count]
    return joint_loss(pixels, scores.image, labels, shown, balance=balance, counted=counted, share=share)
