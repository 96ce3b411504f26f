"""Stage: predictions at several scales sharpened by a dense CRF (coseg sec. 4.2)."""

from pathlib import Path

from wsss_lightning.data.base import SegmentationDataModule, Split
from wsss_lightning.methods.coseg.stages.predict_scales import read_probabilities
from wsss_lightning.stages.refinement import Crf, refine_read


def refine_scales(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    predictions: str,
    split: Split,
    crf: Crf,
    workers: int,
    progress: bool,
) -> None:
    """Run `crf` on the maps that a `predict_scales` stage kept of `split`; writes `masks/<image_id>.png`."""
    refine_read(
        read_probabilities,
        folder=Path(out_dir) / "masks",
        data=data,
        predictions=Path(predictions),
        split=split,
        crf=crf,
        workers=workers,
        progress=progress,
    )
