"""The same data set with other classes kept, for experiments that add some (points sec. 4.3)."""

import copy
from collections.abc import Sequence

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.labels import LabelMap


def with_classes(*, data: SegmentationDataModule, classes: Sequence[str]) -> SegmentationDataModule:
    """`data` with these classes kept, in this order; `InputError` where one is unknown."""
    other = copy.copy(data)
    other.labels = LabelMap(data.labels.names, tuple(classes))
    other._records = {}
    return other


def with_added(*, data: SegmentationDataModule, classes: Sequence[str]) -> SegmentationDataModule:
    """`data` with `classes` behind those that it keeps, so that known labels stay what they are."""
    return with_classes(data=data, classes=[*data.class_names, *classes])


def showing(*, data: SegmentationDataModule, classes: Sequence[str]) -> SegmentationDataModule:
    """`data` with only those training images whose tags name one of `classes`."""
    wanted = [data.class_names.index(name) for name in classes]
    other = with_classes(data=data, classes=data.class_names)
    other._records = {"train": [record for record in data.records("train") if record.tags[wanted].any()]}
    return other
