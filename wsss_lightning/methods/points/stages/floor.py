"""Stage: always background, the floor of every table."""

from pathlib import Path

import numpy as np

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.images import image_size
from wsss_lightning.data.masks import write_mask


def floor(*, out_dir: str, data: SegmentationDataModule) -> None:
    """Write `masks/<image_id>.png` of zeros for the val images."""
    folder = Path(out_dir) / "masks"
    for record in data.records("val"):
        write_mask(folder / f"{record.image_id}.png", np.zeros(image_size(record.image), np.uint8))
