"""Data sets with other classes kept, for experiments that add some (points sec. 4.3)."""

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from wsss_lightning.data.base import Record, SegmentationDataModule
from wsss_lightning.data.labels import LabelMap


def with_classes(*, data: SegmentationDataModule, classes: Sequence[str]) -> SegmentationDataModule:
    """`data` with these classes kept, in this order; `InputError` where one is unknown."""
    other = copy.copy(data)
    other.labels = replace(data.labels, kept=tuple(classes))
    other._records = {}
    return other


def with_added(*, data: SegmentationDataModule, classes: Sequence[str]) -> SegmentationDataModule:
    """`data` with `classes` behind those that it keeps, so that known labels stay what they are.

    A class that `data` does not have gets the next mask index and is in none of its images.
    """
    return _relabelled(data, _grown(data.labels, classes))


def with_added_images(
    *, known: SegmentationDataModule, data: SegmentationDataModule, classes: Sequence[str]
) -> SegmentationDataModule:
    """The training images of `data`, `known` itself or another data set, that show one of `classes`.

    Labels are those of `with_added(data=known, ...)`; a class of `known` that `data` does not have by this name is in
    none of the images.
    """
    other = _relabelled(data, _grown(known.labels, classes))
    other._records["train"] = [r for r in other._records["train"] if r.tags[len(known.class_names) :].any()]
    return other


def _grown(labels: LabelMap, classes: Sequence[str]) -> LabelMap:
    new = (name for name in classes if name not in labels.names)
    return replace(labels, names=(*labels.names, *new), kept=(*labels.kept, *classes))


def _relabelled(data: SegmentationDataModule, labels: LabelMap) -> SegmentationDataModule:
    """`data` with `labels`, its tags looked up by name."""
    own = with_classes(data=data, classes=[name for name in labels.kept if name in data.labels.names])
    other = copy.copy(own)
    other.labels = labels
    other._records = {
        split: [_retagged(record, own.class_names, labels) for record in own.records(split)] for split in own.lists
    }
    return other


def _retagged(record: Record, names: Sequence[str], labels: LabelMap) -> Record:
    shown = {name for name, present in zip(names, record.tags, strict=True) if present}
    return replace(record, tags=np.array([name in shown for name in labels.kept]))
