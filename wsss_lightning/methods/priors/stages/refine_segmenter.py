"""Stage: segmentations sharpened by a dense CRF, with or without regions (priors sec. 3.2)."""

from functools import partial
from pathlib import Path

import numpy as np

from wsss_lightning.data.base import Record, SegmentationDataModule, Split
from wsss_lightning.data.images import read_image
from wsss_lightning.data.masks import write_mask
from wsss_lightning.methods.priors.stages.find_regions import read_regions
from wsss_lightning.methods.priors.stages.make_masks import Crf, Unary, smooth
from wsss_lightning.methods.priors.stages.predict_segmenter import read_probabilities
from wsss_lightning.stages.missing import write_missing


def refine_segmenter(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    predictions: str,
    split: Split,
    unary: Unary,
    crf: Crf,
    regions: str | None,
    workers: int,
    progress: bool,
) -> None:
    """Run `crf` on the logits that a `predict_segmenter` stage stored of `split`; writes `masks/<image_id>.png`.

    `unary`: energies of the network's probabilities; `regions`: folder of a `find_regions` stage for the higher-order
    terms, None for a CRF of pairs alone. Full-size probabilities exist only while their image is worked on.
    """
    folder = Path(out_dir) / "masks"
    work = partial(
        _refine_one,
        folder=folder,
        data=data,
        predictions=Path(predictions),
        unary=unary,
        crf=crf,
        regions=None if regions is None else Path(regions),
    )
    about = f"dense CRF, {split}"
    write_missing(work, data.records(split), folder, processes=workers, description=about, progress=progress)


def _refine_one(
    record: Record,
    *,
    folder: Path,
    data: SegmentationDataModule,
    predictions: Path,
    unary: Unary,
    crf: Crf,
    regions: Path | None,
) -> None:
    image = read_image(record.image)
    probs = read_probabilities(predictions, record.image_id, image.shape[:2]).numpy()
    found = None if regions is None else read_regions(regions, record.image_id)
    labels = smooth(image, probs, found, unary=unary, crf=crf)
    write_mask(folder / f"{record.image_id}.png", data.decode(labels.astype(np.uint8)))
