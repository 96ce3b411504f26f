"""Stage: score maps as they are taken for a segmentation (points sec. 4.2)."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.images import image_size
from wsss_lightning.data.masks import write_mask
from wsss_lightning.methods.points.stages.localize import read_scores
from wsss_lightning.methods.points.stages.sample import ScoreConvention, score_peaks
from wsss_lightning.ops.resize import resize_maps
from wsss_lightning.progress import track


def threshold(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    scores: str,
    val_scores: str,
    convention: ScoreConvention,
    threshold: float,
    progress: bool,
) -> None:
    """Label every pixel of the val images by its best class, or background below `threshold`; no tags are used.

    Scores are divided by a class's mean image maximum over the training images that show it, so that on average these
    peak at 1. Writes `masks/<image_id>.png` at the image's own size, in the data set's own indices.
    """
    folder = Path(out_dir) / "masks"
    peaks = score_peaks(Path(scores), data, convention)
    records = data.records("val")
    for record in track(records, description="thresholded scores", total=len(records), enabled=progress):
        maps, _ = read_scores(Path(val_scores), record.image_id)
        scaled = convention(maps[:, 0], maps[:, 1]) / peaks[:, None, None]
        labels = thresholded_labels(resize_maps(scaled[None], image_size(record.image))[0], threshold)
        write_mask(folder / f"{record.image_id}.png", data.decode(labels.numpy().astype(np.uint8)))


def thresholded_labels(scores: Tensor, threshold: float) -> Tensor:
    """Scores (C, H, W) -> labels (H, W): 1 + the best class, 0 where the best is below `threshold`."""
    best, index = scores.max(dim=0)
    return torch.where(best < threshold, 0, index + 1)
