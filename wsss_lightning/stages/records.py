"""Which images a stage works on."""

from wsss_lightning.data.base import Record, SegmentationDataModule


def tagged(data: SegmentationDataModule) -> list[Record]:
    """The training images that show a class."""
    return [record for record in data.records("train") if record.tags.any()]
