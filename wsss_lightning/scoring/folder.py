"""A folder of predictions, whoever made them, against the ground truth of a split."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wsss_lightning.data.base import Record, SegmentationDataModule, Split
from wsss_lightning.data.labels import IGNORE, LabelMap
from wsss_lightning.data.samples import read_target
from wsss_lightning.errors import InputError
from wsss_lightning.metrics.segmentation import confusion_matrix, iou, mean_iou, threshold_confusions, threshold_trimaps
from wsss_lightning.scoring import notes
from wsss_lightning.scoring.cams import read_cam_file
from wsss_lightning.scoring.comparison import measure_images, require_foreground
from wsss_lightning.scoring.evaluation import Evaluation
from wsss_lightning.scoring.predictions import PredictionKind, Predictions, find_predictions, read_labels

SWEEP = tuple(step / 100 for step in range(60))  # SEAM's evaluation: 0.00 to 0.59
WIDEST = 40  # px, of the trimap


@dataclass(frozen=True, eq=False)
class Counts:
    """Sums over images, for T thresholds, L labels and W widths.

    Args:
        confusions: (T, L, L) int64, row = true label.
        trimap_right: (T, W) right pixels within 1..W px of a true boundary.
        trimap_pixels: (W,) counted pixels there.
        images: how many.
        as_tagged: images in which the classes that have a CAM are the tags.
        left_out: CAMs of classes that are not kept.
        ignored: pixels whose truth is 255.
    """

    confusions: Tensor
    trimap_right: Tensor
    trimap_pixels: Tensor
    images: int
    as_tagged: int
    left_out: int
    ignored: int

    def __add__(self, other: Counts) -> Counts:
        return Counts(*map(add, vars(self).values(), vars(other).values()))


@dataclass(frozen=True, eq=False)
class _Task:
    """What is scored against what; `thresholds` are ascending, and a mask exceeds the only one it gets."""

    predictions: Predictions
    data: SegmentationDataModule
    split: Split
    thresholds: tuple[float, ...]

    @property
    def where(self) -> str:
        return f"the {self.split} split (list {self.data.lists[self.split]})"

    @property
    def is_sweep(self) -> bool:
        return len(self.thresholds) > 1


def score_folder(
    *,
    folder: Path,
    data: SegmentationDataModule,
    split: Split,
    threshold: float | None,
    partial_ok: bool,
    processes: int,
    progress: bool = True,
) -> Evaluation:
    """Score a folder of index PNGs or CAM dictionaries, whoever made them.

    Args:
        folder: holds a prediction per image; see `find_predictions`.
        data: the data set; its kept classes are the labels.
        split: whose masks to compare with.
        threshold: of the background of CAMs; None takes the best of `SWEEP` on these very masks.
        partial_ok: score what is there where predictions are missing.
        processes: how many work at once.
        progress: show a bar.

    Raises:
        InputError: predictions are missing, a file is at fault (see `read_labels` and `read_cam_file`), or no truth
            has a pixel of a class.
    """
    records = data.records(split)
    predictions = find_predictions(folder, [record.image_id for record in records])
    task = _Task(predictions, data, split, _thresholds(predictions, threshold))
    if not partial_ok:
        _require_all(task)
    predicted = set(predictions.predicted)
    scored = [record for record in records if record.image_id in predicted]
    thresholds = torch.tensor(task.thresholds)
    measure = partial(_score, folder=folder, kind=predictions.kind, labels=data.labels, thresholds=thresholds)
    sums = measure_images(
        scored, measure, processes=processes, description="evaluation", progress=progress, summed=True
    )
    counts = reduce(add, sums)
    ignored = counts.ignored if len(data.labels.kept) == len(data.labels.names) else 0  # else of other classes
    require_foreground(counts.confusions[0].sum(dim=1), scored, where=task.where, ignored=ignored)
    return _conclude(counts, task)


def _thresholds(predictions: Predictions, given: float | None) -> tuple[float, ...]:
    if predictions.kind is PredictionKind.CAMS:
        return SWEEP if given is None else (given,)
    if given is not None:
        raise InputError(f"{predictions.folder} holds index PNGs, which have no scores: leave --threshold away.")
    return (0.0,)


def _require_all(task: _Task) -> None:
    missing, predicted = task.predictions.missing, task.predictions.predicted
    if missing:
        raise InputError(
            f"{task.predictions.folder} has no prediction of {len(missing):,} of the {len(missing) + len(predicted):,} "
            f"images of {task.where}: {notes.first_names(missing)}; add them, or score what is there with --partial."
        )


def _score(record: Record, *, folder: Path, kind: PredictionKind, labels: LabelMap, thresholds: Tensor) -> Counts:
    truth, path = read_target(record, labels.encode), folder / f"{record.image_id}{kind}"
    if kind is PredictionKind.MASKS:
        prediction = read_labels(path, labels=labels, target=truth)
    else:
        prediction = read_cam_file(path, labels=labels, size=truth.shape)
    winners, scores, target = map(torch.from_numpy, (prediction.winners, prediction.scores, truth))
    if kind is PredictionKind.MASKS:
        confusions = confusion_matrix(winners, target, len(labels.kept) + 1)[None]
    else:
        confusions = threshold_confusions(winners, scores, target, thresholds, len(labels.kept) + 1)
    trimap_right, trimap_pixels = threshold_trimaps(winners, scores, target, thresholds, WIDEST)
    tags = frozenset((np.flatnonzero(record.tags) + 1).tolist())
    as_tagged, ignored = int(prediction.classes == tags), int((truth == IGNORE).sum())
    return Counts(confusions, trimap_right, trimap_pixels, 1, as_tagged, prediction.left_out, ignored)


def _conclude(counts: Counts, task: _Task) -> Evaluation:
    scores = [mean_iou(confusion) for confusion in counts.confusions]
    best = max(range(len(scores)), key=lambda index: scores[index])
    cams, predictions = task.predictions.kind is PredictionKind.CAMS, task.predictions
    return Evaluation(
        title=f"{'CAMs' if cams else 'Masks'} in {predictions.folder} against {task.where} of {task.data.root}",
        names=("background", *task.data.class_names),
        confusion=counts.confusions[best],
        trimap=tuple((counts.trimap_right[best].double() / counts.trimap_pixels).tolist()),
        threshold=task.thresholds[best] if cams else None,
        curve=tuple(zip(task.thresholds, scores, strict=True)) if task.is_sweep else (),
        images=counts.images,
        missing=predictions.missing,
        unused=predictions.unused,
        notes=tuple(_notes(counts, best, task)),
    )


def _notes(counts: Counts, best: int, task: _Task) -> list[str]:
    names, labels = ("background", *task.data.class_names), task.data.labels
    absent = [name for name, value in zip(names, iou(counts.confusions[best]).isnan(), strict=True) if value]
    files = [*notes.missing(task.predictions), *notes.unused(task.predictions)]
    alone = notes.background_alone(counts.confusions[best].sum(dim=1).tolist(), counts.ignored)
    about = [*files, *notes.labels(len(names), len(labels.names) + 1, absent), *alone]
    if task.predictions.kind is PredictionKind.MASKS:
        return about
    chosen = notes.threshold_choice(task.thresholds[best], task.thresholds if task.is_sweep else (), where=task.where)
    shown = notes.maps(counts.as_tagged, counts.images, counts.left_out, source=task.data.tags_source)
    return [*about, chosen, *shown]
