"""A segmenter that learns from rough masks as if they were true (coseg secs. 3.2 and 3.3)."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional as F

from wsss_lightning.methods.coseg.mask_losses import joint_loss, labels_in, pixel_loss
from wsss_lightning.methods.coseg.network import CosegNetwork, Scores
from wsss_lightning.metrics.tags import average_precision
from wsss_lightning.nn.deeplab import whole_cells
from wsss_lightning.nn.optimisation import descent, optimisation, phases
from wsss_lightning.ops.pooling import log_sum_exp_pool
from wsss_lightning.ops.resize import resize_labels

Present = Literal["mask", "tags"]
MaskLoss = Callable[[Scores, Tensor, Tensor], Tensor]
_SHARPNESS = 5.0  # of the pooled probabilities that tell tags, as in priors


class CosegModule(pl.LightningModule):
    """Trains a `CosegNetwork` on images and masks.

    `loss`: `mask_loss` with its settings; `rates`, `steps`: see `nn.optimisation.phases`.
    """

    def __init__(self, *, network: CosegNetwork, loss: MaskLoss, rates: Sequence[float], steps: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.loss, self.rates, self.steps = loss, tuple(rates), tuple(steps)
        self._seen: list[tuple[Tensor, Tensor]] = []

    def training_step(self, batch: dict[str, Any], _: int) -> Tensor:
        loss = self.loss(self.network(batch["image"]), batch["mask"], batch["tags"])
        self.log("train/loss", loss, batch_size=len(batch["image"]))
        return loss

    def validation_step(self, batch: dict[str, Any], _: int) -> None:
        probs = self.network(whole_cells(batch["image"])).pixels.softmax(dim=1)
        self._seen.append((log_sum_exp_pool(probs[:, 1:], _SHARPNESS), batch["tags"]))

    def on_validation_epoch_end(self) -> None:
        """Average precision of the tags of images that were not trained on: what rates are chosen by."""
        scores, tags = (torch.cat(column) for column in zip(*self._seen, strict=True))
        self._seen.clear()
        self.log("val/tag_ap", average_precision(scores, tags).nanmean().float())

    def configure_optimizers(self) -> Any:
        return optimisation(self.network.parameters(), optimizer=descent, rate=phases(self.rates, self.steps))


def mask_loss(scores: Scores, mask: Tensor, tags: Tensor, *, balance: float, present: Present) -> Tensor:
    """Eq 1, and with a branch eq 4, at the resolution of the scores, whose labels are the mask's at cells' centres.

    Args:
        scores: of a `CosegNetwork`.
        mask: labels (N, H, W) in 0..L - 1, or 255.
        tags: of the whole images, (N, C) bool.
        balance: lambda of eq 4.
        present: which labels the branch is to tell: "mask", those in the mask, background too, as the authors' code
            does, or "tags", the y of the text, and background.
    """
    labels = resize_labels(mask, (scores.pixels.shape[-2], scores.pixels.shape[-1]))
    if scores.image is None:
        return pixel_loss(scores.pixels, labels)
    shown = labels_in(mask, scores.image.shape[1]) if present == "mask" else F.pad(tags, (1, 0), value=True)
    return joint_loss(scores.pixels, scores.image, labels, shown, balance=balance)
