"""Stage: `evaluate` of one class against all else (patches sec. 4, Table 2), under the name that its results carry."""

from collections.abc import Mapping

from pytorch_lightning.loggers import Logger

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.stages.evaluate import evaluate


def evaluate_patches(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    masks: str,
    extra_masks: Mapping[str, str],
    extra_panels: str | None,
    target: str,
    panels: int,
    loggers: Mapping[str, Logger],
    progress: bool,
) -> dict[str, float]:
    """Score a folder of index PNGs of the class `target` on the val images: `val/ap` and its two accuracies."""
    return evaluate(
        out_dir=out_dir,
        data=data,
        masks=masks,
        extra_masks=extra_masks,
        extra_panels=extra_panels,
        groups={},
        panels=panels,
        loggers=loggers,
        progress=progress,
        target=target,
    )
