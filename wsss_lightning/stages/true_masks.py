"""Stage: ground truth in the place of pseudo-labels, the ceiling of every table. It opens training masks."""

from pathlib import Path

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.masks import write_mask


def true_masks(*, out_dir: str, data: SegmentationDataModule) -> None:
    """Write `masks/<image_id>.png` of the training images: their own, classes that are left out ignored (255)."""
    folder = Path(out_dir) / "masks"
    for record in data.records("train"):
        write_mask(folder / f"{record.image_id}.png", data.decode(data.read_target(record)))
