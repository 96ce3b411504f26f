"""Predictions sharpened by a dense CRF, wherever their probabilities come from."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from wsss_lightning.data.base import Record, SegmentationDataModule, Split
from wsss_lightning.data.images import read_image
from wsss_lightning.data.masks import write_mask
from wsss_lightning.ops.crf import unary_from_probabilities
from wsss_lightning.stages.missing import write_missing

Crf = Callable[[NDArray[np.uint8], NDArray[np.float32]], NDArray[np.float32]]
Read = Callable[[Path, str, tuple[int, int]], Tensor]


def refine_read(
    read: Read,
    *,
    folder: Path,
    data: SegmentationDataModule,
    predictions: Path,
    split: Split,
    crf: Crf,
    workers: int,
    progress: bool,
) -> None:
    """`refine` of what `read` gives: the probabilities (L, H, W) of an image from the folder `predictions`."""
    work = partial(_refine_one, folder=folder, data=data, predictions=predictions, read=read, crf=crf)
    write_missing(work, data.records(split), folder, processes=workers, description="dense CRF", progress=progress)


def _refine_one(
    record: Record, *, folder: Path, data: SegmentationDataModule, predictions: Path, read: Read, crf: Crf
) -> None:
    image = read_image(record.image)
    probabilities = read(predictions, record.image_id, image.shape[:2]).numpy()
    marginals = crf(image, unary_from_probabilities(probabilities))
    write_mask(folder / f"{record.image_id}.png", data.decode(marginals.argmax(axis=0).astype(np.uint8)))
