"""What is known of scored predictions; text, JSON and plots say it each in their way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from wsss_lightning.atomic import write_json
from wsss_lightning.metrics import segmentation


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Figures of a folder of predictions; all are fractions, nan where there is nothing to count.

    Args:
        title: what was scored against what.
        names: the L labels, background first.
        confusion: (L, L) int64, row = true label.
        trimap: accuracy within 1, 2, ... px of a true boundary.
        threshold: of the background, where the predictions are CAMs.
        curve: (threshold, mIoU) of a sweep, empty where there was none.
        images: how many were scored.
        missing: ids without a prediction.
        unused: names of files that belong to no image.
        notes: sentences without which the figures would mislead.
    """

    title: str
    names: tuple[str, ...]
    confusion: Tensor
    trimap: tuple[float, ...]
    threshold: float | None
    curve: tuple[tuple[float, float], ...]
    images: int
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    notes: tuple[str, ...]

    @cached_property
    def iou(self) -> dict[str, float]:
        """Of each label; nan where it occurs in neither truth nor prediction."""
        return dict(zip(self.names, segmentation.iou(self.confusion).tolist(), strict=True))

    @cached_property
    def accuracy(self) -> dict[str, float]:
        """The fraction of each label's true pixels that are right."""
        right = self.confusion.diagonal().double() / self.confusion.sum(1)
        return dict(zip(self.names, right.tolist(), strict=True))

    @cached_property
    def summary(self) -> dict[str, float]:
        """The figures over all labels."""
        return {
            "miou": segmentation.mean_iou(self.confusion),
            "pixel_accuracy": segmentation.pixel_accuracy(self.confusion),
            "mean_accuracy": segmentation.mean_accuracy(self.confusion),
            "frequency_weighted_iou": segmentation.frequency_weighted_iou(self.confusion),
        }

    @property
    def counted(self) -> int:
        """How many labels the mean IoU is over."""
        return sum(not math.isnan(value) for value in self.iou.values())

    def as_json(self) -> dict[str, Any]:
        """Everything, in JSON's types; nan is null."""
        return {
            "title": self.title,
            "images": self.images,
            "missing": list(self.missing),
            "unused_files": list(self.unused),
            "notes": list(self.notes),
            **_nulls(self.summary),
            "labels_in_miou": self.counted,
            "iou": _nulls(self.iou),
            "accuracy": _nulls(self.accuracy),
            "trimap_accuracy": _nulls({str(width): value for width, value in enumerate(self.trimap, 1)}),
            "threshold": self.threshold,
            "miou_by_threshold": _nulls({f"{threshold:.2f}": value for threshold, value in self.curve}),
            "labels": list(self.names),
            "confusion": self.confusion.tolist(),
        }


def write_evaluation(path: Path, evaluation: Evaluation) -> Path:
    """Write `Evaluation.as_json`; returns `path`."""
    write_json(path, evaluation.as_json())
    return path


def _nulls(figures: dict[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in figures.items()}
