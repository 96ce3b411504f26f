"""Stage: what the images of a class have in common, and where it is in each of them (coseg sec. 3.1; Chen, Shrivastava
& Gupta, Enriching visual knowledge bases via object discovery and segmentation, CVPR 2014).

Masks are not looked at. A run that was stopped goes on where it was; what each step left lies in `steps/`.
"""

from collections.abc import Callable
from pathlib import Path

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.methods.coseg.exemplars import Exemplars
from wsss_lightning.methods.coseg.hog import Floats, Image, Scan, Shape
from wsss_lightning.methods.coseg.joint_segmentation import Joint
from wsss_lightning.methods.coseg.stages.cosegment_exemplars import (
    detect,
    find_exemplars,
    make_detectors,
    measure_background,
)
from wsss_lightning.methods.coseg.stages.cosegment_masks import find_objects
from wsss_lightning.methods.coseg.stages.cosegment_subcategories import (
    find_subcategories,
    fit_detectors,
    segment_subcategories,
)
from wsss_lightning.methods.coseg.stages.cosegmentation import Cosegmentation, Passes, draw_collections
from wsss_lightning.methods.coseg.subcategories import Merging
from wsss_lightning.methods.coseg.subcategory_detectors import Detectors

STEPS = (
    *(find_exemplars, measure_background, make_detectors, detect),
    *(find_subcategories, segment_subcategories, fit_detectors, find_objects),
)


def discover(
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
    seed: int,
    workers: int,
    progress: bool,
) -> None:
    """Seed boxes, subcategories and their detections of the single-tag training images, for `cosegment`.

    Settings up to `seed`: see `Cosegmentation`.
    """
    settings = Cosegmentation(side, edges, box, scan, exemplars, merging, joint, detectors, seed)
    collections = draw_collections(source, most=exemplars.most, seed=seed)
    for step in STEPS:
        step(collections, settings, Passes(Path(out_dir) / "steps", workers, progress))
