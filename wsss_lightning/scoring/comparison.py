"""One pass over the images of a split, in several processes: every figure against ground truth is counted in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial, reduce
from itertools import chain
from operator import add
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from wsss_lightning.data.labels import IGNORE, LabelMap, Mask
from wsss_lightning.data.samples import Record, read_target
from wsss_lightning.errors import InputError
from wsss_lightning.metrics.segmentation import confusion_matrix, threshold_trimaps
from wsss_lightning.metrics.single_class import one_against_all
from wsss_lightning.parallel import in_parallel
from wsss_lightning.scoring.predictions import read_labels

FOREGROUND = LabelMap(("foreground",), ("foreground",))  # of masks that tell no classes apart

_PART = 16  # images per call: a process sends its results, megabytes with COCO's 81 labels, once for all of them

Measured = TypeVar("Measured")


def measure_images(
    records: Sequence[Record],
    measure: Callable[[Record], Measured],
    *,
    processes: int,
    description: str,
    progress: bool = True,
    summed: bool = False,
) -> Iterator[Measured]:
    """`measure(record)` of every image, in the order of `records`.

    Args:
        records: the images.
        measure: a module's function or a `functools.partial` of one.
        processes: how many work at once; 0 for as many as there are cores.
        description: of the progress bar.
        progress: show it.
        summed: give sums over some images each, for results too large to be sent one by one.
    """
    parts = [records[start : start + _PART] for start in range(0, len(records), _PART)]
    work = partial(_measure_part, measure=measure, summed=summed)
    yield from chain.from_iterable(
        in_parallel(work, parts, processes=processes, description=description, progress=progress)
    )


def image_confusion(
    record: Record, *, folder: Path, labels: LabelMap, label: int | None = None, foreground: bool = False
) -> Tensor:
    """The confusion matrix (L, L) of `<folder>/<image_id>.png`, an index PNG in the data set's own indices.

    Args:
        record: the image.
        folder: of the masks.
        labels: of the data set.
        label: told from all others, which makes L = 2.
        foreground: the mask is 0 or 1, and so are all classes of the truth.

    Raises:
        InputError: a file is missing or at fault; see `read_target` and `read_labels`.
    """
    predicted, truth = _read(record, folder, labels, foreground=foreground)
    if label is not None:
        predicted, truth = (one_against_all(mask, label=label) for mask in (predicted, truth))
    return confusion_matrix(predicted, truth, 2 if foreground or label is not None else len(labels.kept) + 1)


def trimap_counts(record: Record, *, folder: Path, labels: LabelMap, widest: int) -> Tensor:
    """Right pixels and counted pixels within 1..`widest` px of a true boundary, (2, W) int64."""
    predicted, truth = _read(record, folder, labels)
    # A mask is a prediction whose labels exceed any threshold.
    right, counted = threshold_trimaps(predicted, torch.ones(predicted.shape), truth, torch.zeros(1), widest)
    return torch.stack([right[0], counted])


def any_class(target: Mask) -> Mask:
    """Labels -> 0 background, 1 any class, 255 ignored."""
    return np.where(target == IGNORE, target, target > 0).astype(np.uint8)


def require_foreground(pixels: Tensor, records: Sequence[Record], *, where: str, ignored: int = 0) -> None:
    """Refuse a truth that scores nothing but background, which hides whatever is wrong with it.

    Args:
        pixels: (L,) how many of each true label count; none at all is for nan to tell.
        records: the images; a single one may show what is too difficult to be outlined.
        where: they are, for the sentence.
        ignored: pixels that do not count.

    Raises:
        InputError: background alone counts, though pixels are ignored or images are tagged.
    """
    doubtful = len(records) > 1 and (ignored or any(record.tags.any() for record in records))
    if doubtful and pixels[0] and not pixels[1:].any():
        raise InputError(
            f"The masks of {where} have no pixel of any class, so background alone would be scored: write the classes' "
            "indices (1 and up) in them, not 255, which is ignored, or score images that show a kept class."
        )


def _read(record: Record, folder: Path, labels: LabelMap, *, foreground: bool = False) -> tuple[Tensor, Tensor]:
    """Prediction and truth as labels, (H, W) uint8 each."""
    path, truth = folder / f"{record.image_id}.png", read_target(record, labels.encode)
    if not path.is_file():
        raise InputError(f"{path} does not exist: add it, or delete {folder.parent} to compute the stage again.")
    if foreground:
        truth, labels = any_class(truth), FOREGROUND
    return torch.from_numpy(read_labels(path, labels=labels, target=truth).winners), torch.from_numpy(truth)


def _measure_part(records: Sequence[Record], *, measure: Callable[[Record], Measured], summed: bool) -> list[Measured]:
    results = map(measure, records)
    return [reduce(add, results)] if summed else list(results)
