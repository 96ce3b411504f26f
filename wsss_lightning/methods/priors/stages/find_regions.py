"""Stage: regions between crisp boundaries, which the CRF's higher-order terms are over (priors sec. 3.1.3)."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsss_lightning.atomic import replace_file
from wsss_lightning.data.base import Record, SegmentationDataModule, Split
from wsss_lightning.data.images import read_image
from wsss_lightning.errors import InputError
from wsss_lightning.ops.boundaries import crisp_boundaries
from wsss_lightning.ops.boundaries import regions as regions_between
from wsss_lightning.stages.missing import write_missing
from wsss_lightning.stages.refine import Regions, read_regions

Boundaries = Callable[[NDArray[np.uint8]], Regions]
_MOST = np.iinfo(np.uint16).max + 1  # what 16 bits can number


def find_regions(
    *, out_dir: str, data: SegmentationDataModule, split: Split, boundaries: Boundaries, workers: int, progress: bool
) -> dict[str, float]:
    """Number the regions of every image 0..R-1: `regions/<image_id>.png`, 16-bit greyscale; tags are not used.

    Returns the mean number of regions of an image.
    """
    folder, records = Path(out_dir) / "regions", data.records(split)
    work = partial(_number_one, folder=folder, boundaries=boundaries)
    write_missing(work, records, folder, processes=workers, description=f"regions, {split}", progress=progress)
    counts = [read_regions(Path(out_dir), record.image_id).max() + 1 for record in records]
    return {"regions": float(np.mean(counts))}


def crisp_regions(image: NDArray[np.uint8], *, threshold: float, seed: int, eigenvectors: int = 100) -> Regions:
    """Regions of an RGB image (H, W, 3) between boundaries of at least `threshold`: (H, W), 0..R-1.

    `threshold`: as a fraction of the image's strongest boundary, as the authors scale theirs; what a boundary reaches
    depends on the image's size. `eigenvectors`: as in `crisp_boundaries`; 50 take two thirds of the time.
    """
    strength, orientation = crisp_boundaries(image, seed=seed, eigenvectors=eigenvectors)
    strongest = max(float(strength.max()), float(np.finfo(np.float32).tiny))
    return regions_between(strength / strongest, orientation, threshold)


def _number_one(record: Record, *, folder: Path, boundaries: Boundaries) -> None:
    regions = boundaries(read_image(record.image))
    if regions.max() >= _MOST:
        raise InputError(f"{record.image} falls into more than {_MOST} regions: raise priors.boundaries.threshold.")
    picture = Image.fromarray(regions.astype(np.uint16))
    replace_file(folder / f"{record.image_id}.png", lambda temporary: picture.save(temporary))
