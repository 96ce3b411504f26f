"""Stage: accuracy near the true boundaries, by the width of the band around them (priors fig. 10)."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.scoring.comparison import measure_images, trimap_counts


def measure_trimap(
    *, out_dir: str, data: SegmentationDataModule, masks: str, widths: Sequence[int], progress: bool, processes: int = 0
) -> dict[str, float]:
    """Score a folder of index PNGs on the val images, whose masks this stage opens.

    `val/trimap/<w>` is the fraction of right pixels among those within w px of a true boundary, for each of `widths`;
    `val/trimap` is the mean over these. `processes`: 0 for as many as are worth starting.
    """
    del out_dir  # metrics are all there is
    measure = partial(trimap_counts, folder=Path(masks), labels=data.labels, widest=max(widths))
    records = data.records("val")
    counts = measure_images(records, measure, processes=processes, description="trimaps", progress=progress)
    right, counted = torch.stack(list(counts)).sum(dim=0).double()
    accuracy = (right / counted)[[width - 1 for width in widths]]
    named = zip(widths, accuracy.tolist(), strict=True)
    return {"val/trimap": float(accuracy.mean())} | {f"val/trimap/{width}": value for width, value in named}
