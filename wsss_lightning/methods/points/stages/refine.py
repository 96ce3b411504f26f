"""Stage: predictions sharpened by a dense CRF."""

from pathlib import Path

from wsss_lightning.data.base import SegmentationDataModule, Split
from wsss_lightning.methods.points.stages.predict import read_probabilities
from wsss_lightning.stages.refinement import Crf, refine_read


def refine(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    predictions: str,
    split: Split,
    crf: Crf,
    workers: int,
    progress: bool,
) -> None:
    """Run `crf` on the logits that a `predict` stage stored of `split`, image by image; writes `masks/<image_id>.png`.

    Full-size probabilities exist only while their image is worked on.
    """
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
