"""Stage: `evaluate` of masks of training images, to judge and never to train, under the name that results carry."""

from typing import Literal

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.stages.evaluate import evaluate

Kind = Literal["foreground", "classes"]


def judge_masks(
    *, out_dir: str, data: SegmentationDataModule, masks: str, kind: Kind, share: float, seed: int, progress: bool
) -> dict[str, float]:
    """Score masks of a random `share` of the training images, drawn with `seed`: `train/miou`, `train/iou/<label>`.

    For kind "foreground" the two labels are background and foreground, all classes alike.
    """
    return evaluate(
        out_dir=out_dir,
        data=data,
        masks=masks,
        extra_masks={},
        extra_panels=None,
        groups={},
        panels=0,
        loggers={},
        progress=progress,
        split="train",
        foreground=kind == "foreground",
        share=share,
        share_seed=seed,
    )
