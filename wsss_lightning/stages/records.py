"""Which images a stage works on."""

from collections.abc import Sequence

import numpy as np

from wsss_lightning.data.base import Record, SegmentationDataModule


def tagged(data: SegmentationDataModule) -> list[Record]:
    """The training images that show a class."""
    return [record for record in data.records("train") if record.tags.any()]


def draw_records(records: Sequence[Record], most: int, *, seed: int) -> list[Record]:
    """At most so many records, at random, in their order."""
    chosen = np.random.default_rng(seed).permutation(len(records))[:most]
    return [records[index] for index in sorted(chosen.tolist())]
