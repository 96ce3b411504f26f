"""One picture through a model: at several scales and mirrored, within its tags, sharpened by a dense CRF."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsss_lightning.data.samples import Normalisation, network_size, resize_image
from wsss_lightning.errors import InputError
from wsss_lightning.inference.labelled import LabelledPicture
from wsss_lightning.inference.pictures import PictureArray
from wsss_lightning.models import Inputs
from wsss_lightning.nn.prediction import Edges, Prediction, best_labels, possible_probabilities
from wsss_lightning.ops.crf import unary_from_probabilities

Crf = Callable[[PictureArray, NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Settings:
    """How pictures are labelled.

    Args:
        scales: of the size that the model expects; probabilities are their mean.
        flip: each scale's mirror image, too.
        crf: `ops.crf.dense_crf` with its weights; None for none.
        longest: px; larger pictures are worked on at this longer side, and their masks enlarged. None for no limit.

    Raises:
        InputError: no scale, or one that is not positive, or `longest` is not.
    """

    scales: Sequence[float] = (1.0,)
    flip: bool = False
    crf: Crf | None = None
    longest: int | None = 1024

    def __post_init__(self) -> None:
        if not self.scales or min(self.scales) <= 0:
            raise InputError(f"scales={list(self.scales)}: give positive numbers, such as 0.75,1,1.25.")
        if self.longest is not None and self.longest < 1:
            raise InputError(f"longest={self.longest}: give px, such as 1024.")

    @property
    def variants(self) -> list[tuple[float, bool]]:
        """Scale, and whether mirrored."""
        return [(scale, mirrored) for scale in self.scales for mirrored in ([False, True] if self.flip else [False])]


def label_picture(
    model: pl.LightningModule,
    pixels: PictureArray,
    *,
    name: str,
    inputs: Inputs,
    settings: Settings,
    tags: Sequence[str] | None = None,
) -> LabelledPicture:
    """What `model` says of (H, W, 3) `pixels`; as it is, it says what the stage `predict` writes.

    `tags`: the classes that the picture shows, so that no others are possible; None where nobody knows.

    Raises:
        InputError: a tag is none of the model's classes.
    """
    size, threshold = _size(pixels), getattr(model, "threshold", None)
    shown = _within(pixels, settings.longest)
    each = [_predict(model, shown, inputs, name, scale, mirrored) for scale, mirrored in settings.variants]
    probs = torch.stack([maps for _, maps in each]).mean(dim=0)
    if tags is not None:
        probs = possible_probabilities(probs, known_tags(tags, inputs.class_names))
    if settings.crf is not None:
        probs = torch.from_numpy(settings.crf(shown, unary_from_probabilities(probs.cpu().numpy())))
    # Alone, a network's own labels are the stage's to the bit.
    alone = len(each) == 1 and tags is None and settings.crf is None and shown is pixels
    labels = each[0][0].labels if alone else best_labels(probs, size, threshold=threshold)
    mask = labels.cpu().numpy().astype(np.uint8)
    return LabelledPicture(name, pixels, mask, probs.cpu().float().numpy(), inputs)


def _size(pixels: PictureArray) -> tuple[int, int]:
    return pixels.shape[0], pixels.shape[1]


def _within(pixels: PictureArray, longest: int | None) -> PictureArray:
    """The picture, its longer side no longer than `longest`."""
    own = _size(pixels)
    if longest is None or max(own) <= longest:
        return pixels
    return resize_image(pixels, _scaled(own, longest / max(own)))


def _scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    height, width = (max(round(edge * scale), 1) for edge in size)
    return height, width


def _predict(
    model: pl.LightningModule, pixels: PictureArray, inputs: Inputs, name: str, scale: float, mirrored: bool
) -> tuple[Prediction, Tensor]:
    """A model's own prediction of a scaled and mirrored picture, and its probabilities, (L, H, W), turned back."""
    size = _scaled(network_size(_size(pixels), inputs.size), scale)
    size = getattr(model, "takes", Edges()).nearest(size)
    resized = pixels if size == _size(pixels) else resize_image(pixels, size)
    image = Normalisation(inputs.mean, inputs.std)(np.ascontiguousarray(resized[:, ::-1]) if mirrored else resized)
    batch = {
        "image": image[None].to(model.device),
        "image_id": [name],
        "size": torch.tensor([_size(pixels)], device=model.device),
        "tags": torch.ones(1, len(inputs.class_names), dtype=torch.bool, device=model.device),
    }
    with torch.inference_mode():
        (prediction,) = model.predict_step(batch, 0)
        stored: dict[str, Any] = {**getattr(model, "reading_tensors", {}), **prediction.stored}
        probs: Tensor = model.reading(stored, _size(pixels))  # type: ignore[operator]
    return prediction, probs.flip(-1) if mirrored else probs


def known_tags(tags: Sequence[str], names: Sequence[str]) -> list[bool]:
    """Which of the C classes `names` are among `tags`; an unknown tag is an `InputError`."""
    unknown = [tag for tag in tags if tag not in names]
    if unknown:
        raise InputError(f"The model has no class {unknown[0]!r}: it has {', '.join(names)}.")
    return [name in tags for name in names]
