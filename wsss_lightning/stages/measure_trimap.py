"""Stage: accuracy near the true boundaries, by the width of the band around them (priors fig. 10)."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from wsss_lightning.data.base import Record, SegmentationDataModule
from wsss_lightning.metrics.segmentation import threshold_trimaps
from wsss_lightning.progress import track
from wsss_lightning.scoring.predictions import read_labels


def measure_trimap(
    *, out_dir: str, data: SegmentationDataModule, masks: str, widths: Sequence[int], progress: bool
) -> dict[str, float]:
    """Score a folder of index PNGs on the val images, whose masks this stage opens.

    `val/trimap/<w>` is the fraction of right pixels among those within w px of a true boundary, for each of `widths`;
    `val/trimap` is the mean over these.
    """
    del out_dir  # metrics are all there is
    records = data.records("val")
    seen = track(records, description="trimaps", total=len(records), enabled=progress)
    counts = [_count(record, data, Path(masks), max(widths)) for record in seen]
    right, counted = (torch.stack(column).sum(dim=0).double() for column in zip(*counts, strict=True))
    accuracy = (right / counted)[[width - 1 for width in widths]]
    named = zip(widths, accuracy.tolist(), strict=True)
    return {"val/trimap": float(accuracy.mean())} | {f"val/trimap/{width}": value for width, value in named}


def _count(record: Record, data: SegmentationDataModule, masks: Path, widest: int) -> tuple[Tensor, Tensor]:
    """Right and counted pixels within 1..`widest` px, (W,) each."""
    target = data.read_target(record)
    found = read_labels(masks / f"{record.image_id}.png", labels=data.labels, target=target)
    winners, scores = torch.from_numpy(found.winners), torch.from_numpy(found.scores)
    # A mask is a prediction whose labels exceed any threshold.
    right, counted = threshold_trimaps(winners, scores, torch.from_numpy(target), torch.zeros(1), widest)
    return right[0], counted
