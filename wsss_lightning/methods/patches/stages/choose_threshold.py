"""Stage: theta of eq 5 by a grid search on training images, whose ground truth it opens (patches sec. 4, Figure 5)."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.labels import LabelMap
from wsss_lightning.data.samples import Record, read_target
from wsss_lightning.data.target import target_index
from wsss_lightning.errors import InputError
from wsss_lightning.metrics.segmentation import threshold_confusions
from wsss_lightning.metrics.single_class import accuracies, one_against_all
from wsss_lightning.scoring.comparison import measure_images
from wsss_lightning.stages.io import read_json, write_json
from wsss_lightning.stages.predict import read_probabilities

_CHOICE = "threshold.json"


def choose_threshold(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    probabilities: str,
    target: str,
    thresholds: Sequence[float],
    progress: bool,
    processes: int = 0,
) -> dict[str, float]:
    """Take the threshold of the best AP over the pixels of all training images; write it to `threshold.json`.

    `train/ap` is that AP, `train/ap/<theta>` the whole curve; pixels are each by themselves, without superpixels.
    `probabilities`: folder of a `predict_patches` stage on train; `thresholds`: ascending; `processes`: 0 for as many
    as are worth starting.
    """
    label, folder, records = target_index(data, target) + 1, Path(probabilities), data.records("train")
    measure = partial(_count, labels=data.labels, folder=folder, label=label, thresholds=torch.tensor(thresholds))
    each = measure_images(records, measure, processes=processes, description=f"thresholds, {target}", progress=progress)
    confusions = torch.stack(list(each)).sum(dim=0)
    curve = [accuracies(confusion)["ap"] for confusion in confusions]
    if np.isnan(curve).all():
        raise InputError(f"No training image of {data.root} shows {target}: give patches.threshold a number.")
    best = int(np.nanargmax(curve))
    write_json(Path(out_dir) / _CHOICE, {"threshold": thresholds[best], "ap": curve[best]})
    chosen = {"train/ap": curve[best], "train/threshold": float(thresholds[best])}
    return chosen | {f"train/ap/{theta:g}": value for theta, value in zip(thresholds, curve, strict=True)}


def read_threshold(folder: Path) -> float:
    """Theta, as `choose_threshold` wrote it."""
    return float(read_json(folder / _CHOICE)["threshold"])


def _count(record: Record, *, labels: LabelMap, folder: Path, label: int, thresholds: Tensor) -> Tensor:
    """A confusion matrix for each threshold, (T, 2, 2)."""
    target = one_against_all(torch.from_numpy(read_target(record, labels.encode)), label=label)
    probs = read_probabilities(folder, record.image_id, (target.shape[0], target.shape[1]))[1]
    return threshold_confusions(torch.ones_like(target), probs, target, thresholds, num_labels=2)
