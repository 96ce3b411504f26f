"""Stage: masks of the images of a class, cut where what they have in common is (coseg sec. 3.1; Chen, Shrivastava &
Gupta, Enriching visual knowledge bases via object discovery and segmentation, CVPR 2014).

Masks are not looked at. A run that was stopped goes on where it was; what it left lies in `steps/`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.methods.coseg.hog import Floats, Image, Shape
from wsss_lightning.methods.coseg.mask_transfer import Transfer
from wsss_lightning.methods.coseg.stages.cosegment_masks import Placing, transfer_masks
from wsss_lightning.methods.coseg.stages.cosegmentation import (
    Passes,
    draw_collections,
    read_segmentation,
    single_tag_records,
)
from wsss_lightning.methods.coseg.stages.kept_masks import keep_masks


def cosegment(
    *,
    out_dir: str,
    source: SegmentationDataModule,
    discovery: str,
    side: int,
    edges: Callable[[Image], Floats],
    box: Callable[[Floats, Shape], Floats],
    transfer: Transfer,
    kept: Sequence[float],
    seed: int,
    workers: int,
    progress: bool,
) -> dict[str, float]:
    """Segment the single-tag training images of every class; what is kept and returned: see `keep_masks`.

    `discovery`: folder of a `discover` stage of the same images and settings; `side` to `seed`: see `Placing`; `kept`:
    least and most foreground of a mask that is kept, as shares of the image (coseg sec. 4.2).
    """
    folder, settings = Path(out_dir) / "steps", Placing(side, edges, box, transfer, seed)
    collections = draw_collections(source, most=1, seed=seed)
    transfer_masks(collections, Path(discovery) / "steps", settings, Passes(folder, workers, progress))
    records = single_tag_records(source)
    return keep_masks(Path(out_dir), source, records, lambda r: read_segmentation(folder, r.image_id), kept=kept)
