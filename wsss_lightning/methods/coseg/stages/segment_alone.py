"""Stages: masks of single-tag images, each found by itself: baselines for a co-segmentation, in its layout."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from wsss_lightning.data.base import Record, SegmentationDataModule
from wsss_lightning.data.images import read_image
from wsss_lightning.methods.coseg.box_masks import Mask
from wsss_lightning.methods.coseg.grabcut import centre_box, grabcut
from wsss_lightning.methods.coseg.hog import Image, shrunk
from wsss_lightning.methods.coseg.saliency import salient_region
from wsss_lightning.methods.coseg.stages.cosegmentation import (
    Passes,
    read_segmentation,
    single_tag_records,
    write_segmentation,
)
from wsss_lightning.methods.coseg.stages.kept_masks import keep_masks


def segment_by_grabcut(
    *,
    out_dir: str,
    source: SegmentationDataModule,
    side: int,
    margin: float,
    rounds: int,
    kept: Sequence[float],
    workers: int,
    progress: bool,
) -> dict[str, float]:
    """GrabCut from the centre box; files and result: see `keep_masks`.

    Args:
        side: px, the longer side that images are worked on at.
        margin: what the box leaves free at each side, as a share of the image's.
        rounds: of GrabCut.
        kept: least and most foreground of a mask that is kept, shares of the image.
    """
    method = partial(_grabcut, margin=margin, rounds=rounds)
    return _segment(out_dir, source, method, side=side, kept=kept, workers=workers, progress=progress)


def segment_by_saliency(
    *, out_dir: str, source: SegmentationDataModule, side: int, kept: Sequence[float], workers: int, progress: bool
) -> dict[str, float]:
    """Where an image is salient, see `saliency`; arguments, files and result as in `segment_by_grabcut`."""
    return _segment(out_dir, source, salient_region, side=side, kept=kept, workers=workers, progress=progress)


def _grabcut(image: Image, *, margin: float, rounds: int) -> Mask:
    return grabcut(image, centre_box((image.shape[0], image.shape[1]), margin), rounds=rounds)


def _segment(
    out_dir: str,
    source: SegmentationDataModule,
    method: Callable[[Image], Mask],
    *,
    side: int,
    kept: Sequence[float],
    workers: int,
    progress: bool,
) -> dict[str, float]:
    folder, by_label = Path(out_dir) / "steps", single_tag_records(source)
    records = [(record.image_id, record) for of_label in by_label.values() for record in of_label]
    work = partial(_segment_one, method=method, side=side)
    Passes(folder, workers, progress).write("segmentations", work, records)
    return keep_masks(Path(out_dir), source, by_label, lambda r: read_segmentation(folder, r.image_id), kept=kept)


def _segment_one(path: Path, record: Record, *, method: Callable[[Image], Mask], side: int) -> None:
    write_segmentation(path, method(shrunk(read_image(record.image), side)))
