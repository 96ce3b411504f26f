"""A segmenter that learns from tags and, at most, rough masks made from them (priors sec. 3.2 and 4.2.1)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional as F

from wsss_lightning.errors import InputError
from wsss_lightning.methods.priors.losses import class_mask_loss, foreground_loss, tag_loss
from wsss_lightning.metrics.segmentation import SegmentationConfusion, mean_iou
from wsss_lightning.metrics.tags import TagScores
from wsss_lightning.nn.backbones import Backbone
from wsss_lightning.nn.deeplab import DeepLab, full_logits, full_probabilities
from wsss_lightning.nn.deeplab_trunk import DeepLabTrunk
from wsss_lightning.nn.description import Node, build, describe
from wsss_lightning.nn.label_prior import with_prior
from wsss_lightning.nn.optimisation import MakeOptimizer, Scheduler, descent, optimisation, scheduled
from wsss_lightning.nn.prediction import Edges, Prediction
from wsss_lightning.ops.pooling import log_sum_exp_pool

MakeNetwork = Callable[..., DeepLab]
WeakLoss = Callable[[Tensor, Tensor, Tensor | None], Tensor]
_IGNORE = 255
_SHARPNESS = 5.0  # r of the scores that tell tags, as in the losses (sec. 3.2)


class SegmenterModule(pl.LightningModule):
    """Trains a segmenter by one of the losses below on the probabilities of every pixel.

    A batch has `image` (N, 3, H, W); or, of a `DeepLabTrunk` whose trunk is frozen, lists of maps (D, h, w), `deep`
    and, where the head looks at it, `shallow`. Objects may also be given as their descriptions (`nn.description`).

    Args:
        backbone: what the network starts from and takes over.
        network: one of `nn.deeplab`, or `nn.deeplab_trunk.deeplab_trunk`.
        class_names: of the C foreground classes, in the order of their labels.
        loss: of probabilities S (N, L, H, W), present labels (N, L) bool, background included, and the labels
            (N, H, W) of the weak masks, None where there are none.
        rates: one per phase, see `nn.optimisation.phases`.
        steps: of each phase.
        seed: of the weights that the backbone does not know.
        optimizer: None for the paper's.
        scheduler: of the first rate and all steps; None for the paper's phases.
        new_layers: by how much the last layer learns faster.
        prior: see `nn.label_prior.with_prior`.
    """

    edges = Edges()

    def __init__(
        self,
        *,
        backbone: Backbone | Node,
        network: MakeNetwork | Node,
        class_names: Sequence[str],
        loss: WeakLoss | Node,
        rates: Sequence[float],
        steps: Sequence[int],
        seed: int = 0,
        optimizer: MakeOptimizer | Node | None = None,
        scheduler: Scheduler | Node | None = None,
        new_layers: float = 1.0,
        prior: float = 0.0,
    ) -> None:
        super().__init__()
        base, make, self.loss = build(backbone), build(network), build(loss)
        self.optimizer, self.scheduler = build(optimizer), build(scheduler)
        self.rates, self.steps, self.new_layers = tuple(rates), tuple(steps), new_layers
        given = {"backbone": base, "network": make, "class_names": class_names, "loss": self.loss, "rates": rates}
        given |= {"steps": steps, "seed": seed, "optimizer": self.optimizer, "scheduler": self.scheduler}
        self.save_hyperparameters(describe(given | {"new_layers": new_layers, "prior": prior}))
        self.prior = prior
        generator = torch.Generator().manual_seed(seed)
        self.segmenter: DeepLab = make(base, class_names=class_names, generator=generator)
        self.tag_scores, self.confusion = TagScores(), SegmentationConfusion(len(class_names) + 1)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) of any size -> logits (N, L, H, W)."""
        return self.segmenter(images)  # type: ignore[no-any-return]

    def probabilities(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) -> (N, L, H, W): what `wsss export` writes."""
        return self(images).softmax(dim=1)  # type: ignore[no-any-return]

    def training_step(self, batch: dict[str, Any], _: int) -> Tensor:
        loss: Tensor = self._loss(self._logits(batch), batch) * batch.get("share", 1.0)
        self.log("train/loss", loss, batch_size=len(batch["tags"]), sync_dist=True)
        return loss

    def _logits(self, batch: dict[str, Any]) -> list[Tensor]:
        """Of the images of a batch: (N, L, H, W), or where they are stored maps, (1, L, H, W) of each."""
        if "deep" not in batch:
            return [self(batch["image"])]
        return [self.segmenter.enlarge(coarse, size).float() for coarse, size in self._looked(batch)]

    def _loss(self, logits: list[Tensor], batch: dict[str, Any]) -> Tensor:
        """The mean over a batch, of S (eq 9)."""
        present, masks = with_background(batch["tags"]), batch.get("mask")
        probs = [with_prior(each, self.prior).softmax(dim=1) for each in logits]
        if "deep" not in batch:
            return self.loss(probs[0], present, masks)  # type: ignore[no-any-return]
        each = masks if masks is not None else [None] * len(probs)
        columns = zip(probs, present, each, strict=True)
        losses = [self.loss(one, labels[None], None if m is None else m[None]) for one, labels, m in columns]
        return torch.stack(losses).mean()

    def validation_step(self, batch: dict[str, Any], _: int) -> None:
        logits = self._logits(batch)
        pooled = torch.cat([log_sum_exp_pool(each.softmax(dim=1)[:, 1:], _SHARPNESS) for each in logits])
        self.tag_scores.update(pooled, batch["tags"])  # eq 11
        if "mask" in batch:  # made for these images from their tags, no ground truth
            self.log("val/loss", self._loss(logits, batch), batch_size=len(batch["tags"]), sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        """Average precision of the tags of images that were not trained on: what rates are chosen by."""
        self.log("val/tag_ap", self.tag_scores.compute()["tag_ap"])
        self.tag_scores.reset()

    def test_step(self, batch: dict[str, Any], _: int) -> None:
        for prediction, target in zip(self.predict_step(batch, 0), batch["target"], strict=True):
            self.confusion.update(prediction.labels, target)

    def on_test_epoch_end(self) -> None:
        self.log("test/miou", mean_iou(self.confusion.compute()))
        self.confusion.reset()

    def predict_step(self, batch: dict[str, Any], _: int) -> list[Prediction]:
        """Labels at each image's own size and, in half precision, the logits at 1/8 that they are made of.

        Raises:
            InputError: a logit is no number of half precision.
        """
        columns = zip(batch["image_id"], self._looked(batch), batch["size"], strict=True)
        return [
            self._labelled(name, coarse[0].half(), torch.tensor(input_size), (int(size[0]), int(size[1])))
            for name, (coarse, input_size), size in columns
        ]

    def _looked(self, batch: dict[str, Any]) -> list[tuple[Tensor, tuple[int, int]]]:
        """Of each image coarse logits (1, L, h, w) and the size that they stand for."""
        if "deep" not in batch:
            coarse, size = self.segmenter.look(batch["image"])
            return [(each[None], size) for each in coarse]
        network = self.segmenter
        assert isinstance(network, DeepLabTrunk)
        images = [{str(name): batch[name][i][None] for name in network.layers} for i in range(len(batch["deep"]))]
        return [(network.scores(maps), network.size_of(maps["deep"])) for maps in images]

    @property
    def reading(self) -> Callable[[dict[str, Tensor], tuple[int, int]], Tensor]:
        """How probabilities (L, H, W) are read from what `predict_step` and `reading_tensors` store."""
        upsampling = self.segmenter.upsampling
        return partial(full_probabilities, stride=upsampling.stride, centre=upsampling.centre)

    @property
    def reading_tensors(self) -> dict[str, Tensor]:
        """What `reading` needs of all images: the learned up-sampling."""
        return {"upsampling": self.segmenter.upsampling.weight}

    def configure_optimizers(self) -> Any:
        return optimisation(
            [parameter for parameter in self.segmenter.parameters() if parameter.requires_grad],
            optimizer=self.optimizer or descent,
            rate=scheduled(self.scheduler, self.rates, self.steps, self),
            new=self.segmenter.fc8.parameters(),
            factor=self.new_layers,
        )

    def _labelled(self, image_id: str, logits: Tensor, input_size: Tensor, size: tuple[int, int]) -> Prediction:
        if not bool(logits.isfinite().all()):
            raise InputError(
                f"The scores of {image_id} exceed float16, so training diverged: lower the segmenter's rates."
            )
        stored, upsampling = {"logits": logits, "input_size": input_size}, self.segmenter.upsampling
        # Labels are those of the stored values, which are all that a CRF sees.
        whole = full_logits(stored | self.reading_tensors, size, stride=upsampling.stride, centre=upsampling.centre)
        return Prediction(image_id, whole.argmax(dim=0), stored)


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


def pixels(probs: Tensor, present: Tensor, labels: Tensor | None, *, sharpness: float) -> Tensor:
    """Cross entropy of every labelled pixel, the mean over an image's, as if masks were true; not the paper's."""
    del present, sharpness
    logarithms = probs.clamp_min(torch.finfo(probs.dtype).tiny).log()
    total = F.nll_loss(logarithms, _required(labels), ignore_index=_IGNORE, reduction="none").sum(dim=(1, 2))
    return (total / (_required(labels) != _IGNORE).sum(dim=(1, 2)).clamp_min(1)).mean()


def _required(labels: Tensor | None) -> Tensor:
    if labels is None:
        raise ValueError("this loss needs masks: give the data module pseudo_masks, or use tags_alone")
    return labels
