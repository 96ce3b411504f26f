"""Training of the localization network from tags (priors sec. 4.2.2)."""

from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional as F

from wsss_lightning.methods.priors.localization_network import LocalizationNetwork
from wsss_lightning.methods.priors.localization_trunk import LocalizationTrunk
from wsss_lightning.methods.priors.priors import combine
from wsss_lightning.metrics.segmentation import SegmentationConfusion, mean_iou
from wsss_lightning.metrics.tags import TagScores
from wsss_lightning.nn.backbones import Backbone
from wsss_lightning.nn.class_activation import HeadStart, shared_rows
from wsss_lightning.nn.description import Node, build, describe
from wsss_lightning.nn.optimisation import MakeOptimizer, Scheduler, descent, optimisation, scheduled
from wsss_lightning.nn.prediction import Prediction
from wsss_lightning.nn.tag_losses import Loss, loss_beside, without_row
from wsss_lightning.ops.resize import resize_maps

MakeNetwork = Callable[..., LocalizationNetwork | LocalizationTrunk]


class LocalizationModule(pl.LightningModule):
    """Trains a `LocalizationNetwork`, or a `LocalizationTrunk`, on batches of images and their tags.

    Objects may also be given as their descriptions (`nn.description`).

    Args:
        backbone: what the network starts from and takes over.
        network: one of `localization_network`, or `localization_trunk`.
        num_classes: C.
        loss: the paper's "cross entropy loss", of logits and tags.
        rates: one per phase, see `nn.optimisation.phases`.
        steps: of each phase.
        seed: of the new layers.
        optimizer: None for the paper's.
        scheduler: of the first rate and all steps; None for the paper's phases.
        new_layers: by how much the layers behind the backbone learn faster.
        start: of the linear layer: "drawn", the paper's, or "shared_rows". Classes without a row, which could not
            compete with those that start from one, then learn by `sigmoid_cross_entropy`, apart from the others.
        class_names: of the C classes, for "shared_rows".
    """

    alone: Tensor

    def __init__(
        self,
        *,
        backbone: Backbone | Node,
        network: MakeNetwork | Node,
        num_classes: int,
        loss: Loss | Node,
        rates: Sequence[float],
        steps: Sequence[int],
        seed: int = 0,
        optimizer: MakeOptimizer | Node | None = None,
        scheduler: Scheduler | Node | None = None,
        new_layers: float = 1.0,
        start: HeadStart = "drawn",
        class_names: Sequence[str] = (),
    ) -> None:
        super().__init__()
        base, make, self.loss = build(backbone), build(network), build(loss)
        self.optimizer, self.scheduler = build(optimizer), build(scheduler)
        self.rates, self.steps, self.new_layers = tuple(rates), tuple(steps), new_layers
        given = {"backbone": base, "network": make, "num_classes": num_classes, "loss": self.loss, "rates": rates}
        given |= {"steps": steps, "seed": seed, "optimizer": self.optimizer, "scheduler": self.scheduler}
        given |= {"new_layers": new_layers, "start": start, "class_names": class_names}
        self.save_hyperparameters(describe(given))
        generator = torch.Generator().manual_seed(seed)
        rows = shared_rows(base, class_names, generator) if start == "shared_rows" else None
        alone = torch.zeros(num_classes, dtype=torch.bool) if rows is None else without_row(base, class_names)
        self.register_buffer("alone", alone, persistent=False)
        self.network: LocalizationNetwork | LocalizationTrunk = make(base, num_classes=num_classes, generator=generator)
        if rows is not None:
            self.network.scores.load_state_dict({"weight": rows[0], "bias": rows[1]})
        self.tag_scores, self.confusion = TagScores(), SegmentationConfusion(num_classes + 1)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) -> logits S_c of the tags (N, C)."""
        return self.network(images)  # type: ignore[no-any-return]

    def tag_loss(self, logits: Tensor, tags: Tensor) -> Tensor:
        """Of logits S_c (N, C) and tags (N, C), the mean over images."""
        return loss_beside(self.loss, logits, tags, alone=self.alone)

    def training_step(self, batch: dict[str, Any], _: int) -> Tensor:
        loss: Tensor = self.tag_loss(self.network.logits(batch), batch["tags"]) * batch.get("share", 1.0)
        self.log("train/loss", loss, batch_size=len(batch["tags"]), sync_dist=True)
        return loss

    def validation_step(self, batch: dict[str, Any], _: int) -> None:
        self.tag_scores.update(self.network.logits(batch).sigmoid(), batch["tags"])

    def on_validation_epoch_end(self) -> None:
        """How well tags of images that were not trained on are told: what rates are chosen by."""
        self.log_dict({f"val/{name}": value for name, value in self.tag_scores.compute().items()})
        self.tag_scores.reset()

    def test_step(self, batch: dict[str, Any], _: int) -> None:
        for prediction, target in zip(self.predict_step(batch, 0), batch["target"], strict=True):
            self.confusion.update(prediction.labels, target)

    def on_test_epoch_end(self) -> None:
        """With known tags: it is the localization that is judged."""
        self.log("test/miou", mean_iou(self.confusion.compute()))
        self.confusion.reset()

    def predict_step(self, batch: dict[str, Any], _: int) -> list[Prediction]:
        """M_c (eq 1) of the classes that each image's tags name.

        `stored` holds `cams` (T, h, w) at the network's resolution and `present` (T,), their labels 1..C; the labels
        at the image's own size are the best of background and these classes by eqs 3 to 5 without the fusion.
        """
        columns = zip(batch["image_id"], self.network.maps_of_tags(batch), batch["tags"], batch["size"], strict=True)
        return [
            self._localized(name, cams, tags.nonzero()[:, 0], (int(size[0]), int(size[1])))
            for name, cams, tags, size in columns
        ]

    def configure_optimizers(self) -> Any:
        known = {id(parameter) for parameter in self.network.backbone.parameters()}
        return optimisation(
            [parameter for parameter in self.network.parameters() if parameter.requires_grad],
            optimizer=self.optimizer or descent,
            rate=scheduled(self.scheduler, self.rates, self.steps, self),
            new=[parameter for parameter in self.network.parameters() if id(parameter) not in known],
            factor=self.new_layers,
        )

    def _localized(self, image_id: str, cams: Tensor, classes: Tensor, size: tuple[int, int]) -> Prediction:
        labels, present = torch.zeros(size, dtype=torch.long, device=cams.device), classes + 1
        if len(classes):
            whole = resize_maps(cams[None].float(), size)[0]
            best = combine(torch.zeros_like(whole[0]), whole, alpha=0.0, normalise=False).argmax(dim=0)
            labels = F.pad(present, (1, 0))[best]
        return Prediction(image_id, labels, {"cams": cams, "present": present})
