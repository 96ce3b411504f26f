"""One data set as two: images with a single tag stand in for a collection by class name, the others are labelled.

For photographs where there are no web images (coseg). Tags are counted over the classes that the data set keeps.
"""

import copy
from dataclasses import replace

import numpy as np

from wsss_lightning.data.base import Record, SegmentationDataModule
from wsss_lightning.errors import InputError


def with_single_tag(
    *, data: SegmentationDataModule, wrong: float, seed: int, beside: bool = False
) -> SegmentationDataModule:
    """`data` with those of its training images that have exactly one tag; other lists stay as they are.

    Args:
        data: whose training images are chosen from.
        wrong: the share of them, drawn with `seed`, that is filed under another class, also drawn: what a search
            returns of other things. A larger share holds the images of a smaller one.
        seed: of what is drawn.
        beside: a class that no image shows alone gets images that show it beside others, drawn with `seed`, as many as
            the smallest collection has; there they carry its tag alone.
    """
    kept = [record for record in data.records("train") if record.tags.sum() == 1]
    order = np.random.default_rng(seed).permutation(len(kept))
    chosen = set(order[: round(wrong * len(kept))].tolist())
    filed = [_refiled(r, seed=[seed, i]) if i in chosen else r for i, r in enumerate(kept)]
    return _of(data, filed + (_beside(data.records("train"), seed) if beside else []))


def _beside(records: list[Record], seed: int) -> list[Record]:
    """Images of the classes that none shows alone, each once, with one tag."""
    tags = np.stack([record.tags for record in records])
    counts = tags[tags.sum(axis=1) == 1].sum(axis=0)
    smallest = int(counts[counts > 0].min(initial=len(records)))
    left, single_tagged = np.asarray(tags.any(axis=1)), []
    for label in np.flatnonzero(counts == 0):
        shown = np.flatnonzero(tags[:, label] & left)
        drawn = np.sort(np.random.default_rng([seed, int(label)]).permutation(shown)[:smallest])
        left[drawn] = False
        single_tagged += [replace(records[index], tags=np.arange(tags.shape[1]) == label) for index in drawn]
    return single_tagged


def without_single_tag(*, data: SegmentationDataModule) -> SegmentationDataModule:
    """`data` with the other training images, so that none is in both."""
    return _of(data, [record for record in data.records("train") if record.tags.sum() != 1])


def _of(data: SegmentationDataModule, records: list[Record]) -> SegmentationDataModule:
    if not records:
        raise InputError(f"All images of {data.root} have one tag, or none has: take another source than single_tag.")
    other = copy.copy(data)
    other._records = {**data._records, "train": records}
    return other


def _refiled(record: Record, *, seed: list[int]) -> Record:
    """The record with another of the C classes, as likely as any."""
    (own,), count = np.flatnonzero(record.tags), len(record.tags)
    other = (own + np.random.default_rng(seed).integers(1, count)) % count if count > 1 else own
    return replace(record, tags=np.arange(count) == other)
