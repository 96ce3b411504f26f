"""Stage: masks of one class from the probability of every pixel (patches sec. 3.3)."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsss_lightning.data.base import Record, SegmentationDataModule, Split
from wsss_lightning.data.images import image_size, read_image
from wsss_lightning.data.masks import write_mask
from wsss_lightning.data.target import target_index
from wsss_lightning.methods.patches.stages.choose_threshold import read_threshold
from wsss_lightning.methods.patches.superpixels import Superpixels, majority_vote
from wsss_lightning.stages.missing import write_missing
from wsss_lightning.stages.predict import read_probabilities

MakeSuperpixels = Callable[[NDArray[np.uint8]], Superpixels]


def segment_patches(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    probabilities: str,
    threshold: float | str,
    superpixels: MakeSuperpixels | None,
    split: Split,
    target: str,
    workers: int,
    progress: bool,
) -> None:
    """Write `masks/<image_id>.png`: 0 and the index of the class `target`, both as the data set numbers them.

    Args:
        data: whose images are labelled.
        probabilities: folder of a `predict_patches` stage on the same split.
        threshold: theta of eq 5, or the folder of a `choose_threshold` stage.
        superpixels: `superpixels.superpixels` with its settings; None leaves every pixel to itself.
        split: of the images; neither tags nor masks are looked at.
        target: name of the class.
    """
    folder = Path(out_dir) / "masks"
    work = partial(
        _segment_one,
        folder=folder,
        probabilities=Path(probabilities),
        threshold=fixed_or_chosen(threshold),
        superpixels=superpixels,
        index=data.labels.indices[target_index(data, target)],
    )
    write_missing(
        work, data.records(split), folder, processes=workers, description=f"masks, {split}", progress=progress
    )


def fixed_or_chosen(threshold: float | str) -> float:
    """Theta: the number, or what the `choose_threshold` stage in that folder chose."""
    return read_threshold(Path(threshold)) if isinstance(threshold, str) else threshold


def class_probability(folder: Path, record: Record) -> NDArray[np.float32]:
    """p(c = 1) of an image as a `predict_patches` stage wrote it, (H, W) at the image's own size."""
    probs: NDArray[np.float32] = read_probabilities(folder, record.image_id, image_size(record.image))[1].numpy()
    return probs


def foreground(probs: NDArray[np.float32], threshold: float) -> NDArray[np.uint8]:
    """Eq 5: 1 where p(c = 1) > theta, else 0, (H, W)."""
    return (probs > threshold).astype(np.uint8)


def _segment_one(
    record: Record,
    *,
    folder: Path,
    probabilities: Path,
    threshold: float,
    superpixels: MakeSuperpixels | None,
    index: int,
) -> None:
    labels = foreground(class_probability(probabilities, record), threshold)
    if superpixels is not None:
        labels = majority_vote(labels, superpixels(read_image(record.image)))
    write_mask(folder / f"{record.image_id}.png", labels * np.uint8(index))
