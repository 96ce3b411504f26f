"""Stage: the images that were segmented best or worst, as pictures (priors figs. 7 and 8)."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.metrics.segmentation import mean_iou
from wsss_lightning.stages.evaluate import draw_panel, write_panel


def show_extremes(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    evaluation: str,
    masks: Mapping[str, str],
    which: Literal["best", "worst"],
    panels: int,
) -> dict[str, float]:
    """Draw the `panels` val images with tags of highest or lowest mean IoU in the confusion matrices of an `evaluate`.

    An image's mean is over the labels that its truth or its prediction has. Writes pictures as `evaluate` does, one
    for each folder in `masks` by its name, and returns the mean over the images shown, `val/image_miou`. Val masks are
    opened.
    """
    scores = image_mious(Path(evaluation))
    records = [record for record in data.records("val") if record.tags.any() and not np.isnan(scores[record.image_id])]
    ranked = sorted(records, key=lambda record: scores[record.image_id], reverse=which == "best")[:panels]
    for record in ranked:
        write_panel(Path(out_dir) / "panels" / record.image_id, draw_panel(record, data, masks), extra_panels=None)
    shutil.copyfile(Path(evaluation) / "classes.json", Path(out_dir) / "classes.json")  # names and colours
    return {"val/image_miou": float(np.mean([scores[record.image_id] for record in ranked]))}


def image_mious(evaluation: Path) -> dict[str, float]:
    """Mean IoU of every image that an `evaluate` stage scored; nan where nothing was counted."""
    matrices = torch.from_numpy(np.load(evaluation / "confusion.npy", allow_pickle=False))
    images = json.loads((evaluation / "images.json").read_text())
    return {image_id: mean_iou(matrix) for image_id, matrix in zip(images, matrices, strict=True)}
