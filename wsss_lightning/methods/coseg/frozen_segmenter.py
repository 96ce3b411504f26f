"""The coseg segmenters on maps of a frozen trunk, stored or taken from images."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from wsss_lightning.methods.coseg.frozen_network import FrozenNetwork
from wsss_lightning.methods.coseg.mask_losses import labelled_pixels
from wsss_lightning.methods.coseg.network import Scores
from wsss_lightning.methods.coseg.segmenter import CosegModule
from wsss_lightning.nn.prediction import Prediction, ProbabilityReading
from wsss_lightning.nn.trunk import Variant, enlarge
from wsss_lightning.ops.pooling import log_sum_exp_pool

_SHARPNESS = 5.0  # see `segmenter`


def mean_probabilities(stored: Mapping[str, Tensor], size: tuple[int, int], *, corners: bool) -> Tensor:
    """Logits as they are kept of an image, by number of the scale -> mean of their softmax at `size`, (L, H, W)."""
    logits = (stored[name][None].float() for name in sorted(stored, key=int))
    return torch.stack([enlarge(each, size, corners=corners)[0].softmax(dim=0) for each in logits]).mean(dim=0)


class FrozenCosegModule(CosegModule):
    """`CosegModule` with a `FrozenNetwork`: eqs 1, 3 and 4 as there, at the resolution of the masks.

    A batch has lists `shallow`, `deep` of maps (D, h, w) and `mask` (H, W) of images, to predict `shallow` and `deep`
    by variant, or `image` (N, 3, H, W).
    """

    network: FrozenNetwork

    def own_reading(self) -> ProbabilityReading:
        return partial(mean_probabilities, corners=self.network.trunk.corners)

    def forward(self, images: Tensor) -> Tensor:
        """Mean of the softmax maps at all `scales`, (N, 3, H, W) normalised -> (N, L, H, W)."""
        size = (images.shape[-2], images.shape[-1])
        each = [self.network(images, scale).pixels.float() for scale in self.scales]
        return torch.stack([self.network.trunk.enlarge(maps, size).softmax(dim=1) for maps in each]).mean(dim=0)

    def training_step(self, batch: dict[str, Any], _: int) -> Tensor:
        own = [labelled_pixels(mask) for masks in batch.get("step_masks", [batch["mask"]]) for mask in masks]
        counted = self._of_each_part(torch.stack(own).sum(), parts=len(batch.get("step_masks", [0])))
        share = batch["share"] / len(batch["mask"])
        images = zip(batch["shallow"], batch["deep"], batch["mask"], batch["tags"], strict=True)
        losses = [
            self.loss(self._enlarged(s, d, mask), mask[None], tags[None], counted=counted, share=share)
            for s, d, mask, tags in images
        ]
        loss = torch.stack(losses).sum()
        self.log("train/loss", loss, batch_size=len(losses), sync_dist=True)
        return loss

    def _enlarged(self, shallow: Tensor, deep: Tensor, mask: Tensor) -> Scores:
        scores = self.network.scores(shallow[None], deep[None])
        pixels = self.network.trunk.enlarge(scores.pixels.float(), (mask.shape[-2], mask.shape[-1]))
        return Scores(pixels, None if scores.image is None else scores.image.float())

    def validation_step(self, batch: dict[str, Any], _: int) -> None:
        maps = zip(batch["shallow"], batch["deep"], strict=True)
        probs = [self.network.scores(s[None], d[None]).pixels.float().softmax(dim=1) for s, d in maps]
        self.tag_scores.update(torch.cat([log_sum_exp_pool(each[:, 1:], _SHARPNESS) for each in probs]), batch["tags"])

    def predict_step(self, batch: dict[str, Any], _: int) -> list[Prediction]:
        """Labels of images at their own size, of the logits that are kept: the best of the mean of their softmax."""
        images = zip(batch["image_id"], batch["size"], batch["tags"], self._logits(batch), strict=True)
        return [self._prediction(i, (int(h), int(w)), tags, own) for i, (h, w), tags, own in images]

    def _logits(self, batch: dict[str, Any]) -> list[list[Tensor]]:
        """Of each image those of every scale, (L, h, w) float16."""
        if "deep" not in batch:
            each = [self.network(batch["image"], scale).pixels.half() for scale in self.scales]
            return [list(own) for own in zip(*each, strict=True)]
        return [
            [self.network.scores(s[None], deep[Variant(scale)][None]).pixels[0].half() for scale in self.scales]
            for s, deep in zip(batch["shallow"], batch["deep"], strict=True)
        ]
