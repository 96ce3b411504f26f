"""Stage: masks of the images of a class, found by what they have in common (coseg sec. 3.1; Chen, Shrivastava & Gupta,
Enriching visual knowledge bases via object discovery and segmentation, CVPR 2014).

Masks are not looked at. A run that was stopped goes on where it was; what each step left lies in `steps/`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsss_lightning.data.base import Record, SegmentationDataModule
from wsss_lightning.methods.coseg.exemplars import Exemplars
from wsss_lightning.methods.coseg.hog import Floats, Image, Scan, Shape
from wsss_lightning.methods.coseg.joint_segmentation import Joint
from wsss_lightning.methods.coseg.mask_transfer import Transfer
from wsss_lightning.methods.coseg.stages.cosegment_exemplars import (
    detect,
    find_exemplars,
    make_detectors,
    measure_background,
)
from wsss_lightning.methods.coseg.stages.cosegment_masks import find_objects, transfer_masks
from wsss_lightning.methods.coseg.stages.cosegment_subcategories import (
    find_subcategories,
    fit_detectors,
    segment_subcategories,
)
from wsss_lightning.methods.coseg.stages.cosegmentation import (
    Cosegmentation,
    Passes,
    collect,
    read_segmentation,
    single_tag_records,
)
from wsss_lightning.methods.coseg.stages.kept_masks import keep_masks
from wsss_lightning.methods.coseg.subcategories import Merging
from wsss_lightning.methods.coseg.subcategory_detectors import Detectors

STEPS = (
    *(find_exemplars, measure_background, make_detectors, detect),
    *(find_subcategories, segment_subcategories, fit_detectors, find_objects, transfer_masks),
)


def cosegment(
    *,
    out_dir: str,
    source: SegmentationDataModule,
    side: int,
    edges: Callable[[Image], Floats],
    box: Callable[[Floats, Shape], Floats],
    scan: Scan,
    exemplars: Exemplars,
    merging: Merging,
    joint: Joint,
    detectors: Detectors,
    transfer: Transfer,
    kept: Sequence[float],
    seed: int,
    workers: int,
    progress: bool,
) -> dict[str, float]:
    """Segment the single-tag training images of every class; what is kept and returned: see `keep_masks`.

    Settings up to `seed`: see `Cosegmentation`; `kept`: least and most foreground of a mask that is kept, as shares of
    the image (coseg sec. 4.2).
    """
    settings = Cosegmentation(side, edges, box, scan, exemplars, merging, joint, detectors, transfer, seed)
    folder, collections = Path(out_dir) / "steps", collect(source, most=exemplars.most, seed=seed)
    for step in STEPS:
        step(collections, settings, Passes(folder, workers, progress))
    masks = partial(_read, folder=folder)
    return keep_masks(Path(out_dir), source, single_tag_records(source), masks, kept=kept)


def _read(record: Record, *, folder: Path) -> NDArray[np.bool_]:
    return read_segmentation(folder, record.image_id)
