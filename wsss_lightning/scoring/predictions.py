"""Folders of predictions: which of a list's images they hold, and one index PNG as labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsss_lightning.data.coco_conventions import RECORD as PAINTED
from wsss_lightning.data.labels import IGNORE, LabelMap, Mask
from wsss_lightning.data.masks import read_mask
from wsss_lightning.errors import InputError


class PredictionKind(StrEnum):
    """What a folder holds, index PNGs or dictionaries of class activation maps; the value is the files' suffix."""

    MASKS = ".png"
    CAMS = ".npy"


@dataclass(frozen=True)
class Predictions:
    """A folder's files beside the images they should belong to.

    Args:
        folder: holds `<image_id>.png` or `<image_id>.npy`.
        kind: which of them.
        predicted: ids that have a prediction, in the order of the list.
        missing: ids that have none, in the order of the list.
        unused: names of the files that belong to no image of the list, sorted.
    """

    folder: Path
    kind: PredictionKind
    predicted: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Winners:
    """One image, ready for any background threshold.

    Args:
        winners: (H, W) uint8, the best foreground label of each pixel; of a mask the label itself.
        scores: (H, W) float32, the winner's score; 1 in a mask, so that any threshold below 1 leaves it as it is.
        classes: the labels whose maps competed; None of a mask.
        left_out: how many maps belong to classes that are not kept.
    """

    winners: Mask
    scores: NDArray[np.float32]
    classes: frozenset[int] | None = None
    left_out: int = 0


def find_predictions(folder: Path, ids: Sequence[str]) -> Predictions:
    """See what kind of predictions a folder holds, which are missing and which files nobody asked for.

    Raises:
        InputError: there is no such folder, it holds both kinds, or nothing for any of `ids`.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: give the one that holds the predictions.")
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    names = {path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts)}
    held = {kind: [image_id for image_id in ids if f"{image_id}{kind}" in names] for kind in PredictionKind}
    if not any(held.values()):
        example = f", but {min(names)}" if names else ""
        raise InputError(f"{folder} holds no {ids[0]}.png, {ids[0]}.npy or the like{example}: give another folder.")
    if all(held.values()):
        raise InputError(f"{folder} holds both masks (.png) and CAMs (.npy) of the images: keep one kind in it.")
    kind = next(kind for kind in PredictionKind if held[kind])
    predicted = held[kind]
    missing = tuple(image_id for image_id in ids if f"{image_id}{kind}" not in names)
    unused = tuple(sorted(names - {f"{image_id}{kind}" for image_id in predicted} - {PAINTED}))
    return Predictions(folder, kind, tuple(predicted), missing, unused)


def read_labels(path: Path, *, labels: LabelMap, target: Mask) -> Winners:
    """Read an index PNG in the data set's own indices.

    Args:
        path: of the PNG.
        labels: turns the data set's own indices into contiguous labels.
        target: (H, W) uint8 labels; where it is 255 nothing counts, so anything may be predicted.

    Raises:
        InputError: the file is damaged, holds colours or unknown indices, has another size than `target`, or gives a
            pixel that counts no label.
    """
    mask = read_mask(path)
    check_prediction_size(mask.shape, target.shape, path)
    predicted = labels.encode(mask, path)
    unlabelled = mask[(predicted == IGNORE) & (target != IGNORE)]
    if IGNORE in unlabelled:
        raise InputError(f"{path} holds 255 (ignore) where the truth has a label: predict a class or background there.")
    if unlabelled.size:
        name = labels.names[unlabelled[0] - 1]
        raise InputError(f"{path} predicts {name}, which data.classes leaves out: keep it, or predict kept ones only.")
    return Winners(predicted, np.ones(predicted.shape, np.float32))


def check_prediction_size(size: tuple[int, ...], expected: tuple[int, ...], path: Path) -> None:
    """Refuse a prediction (H, W) whose image has another size; `InputError`."""
    if size != expected:
        raise InputError(f"{path} has size {size} (H, W), its image {expected}: predict at the image's size.")
