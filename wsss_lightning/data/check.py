"""Look through a whole data set: every fault is collected, and no damaged file ends the check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from wsss_lightning.data.base import Record, SegmentationDataModule
from wsss_lightning.data.doubts import always_tagged, seldom_tagged
from wsss_lightning.data.findings import DataReport, FindingKind, SplitReport
from wsss_lightning.data.inspection import inspect
from wsss_lightning.data.labels import IGNORE
from wsss_lightning.data.lists import MissingListError
from wsss_lightning.data.tags import TagSource
from wsss_lightning.errors import InputError
from wsss_lightning.parallel import in_parallel
from wsss_lightning.progress import track


def check_data(
    data: SegmentationDataModule, *, processes: int, masks: bool = True, strict: bool = False, progress: bool = True
) -> DataReport:
    """Read every list of a data set, decode every image, open every mask; compare tags, masks, lists and counts.

    Args:
        data: the data set; of its classes the kept ones are compared, its `size` is not applied.
        processes: how many work at once.
        masks: open the masks, too; those of a test list are never opened.
        strict: count it as an error where a list has another length than the published one or is missing.
        progress: show progress bars.
    """
    splits = [SplitReport(split, name, data.reader.known_counts.get(name)) for split, name in data.lists.items()]
    for report in splits:
        _read_split(data, report, progress=progress)
        _check_list(report)
        _inspect(data, report, processes=processes, masks=masks, progress=progress)
        _compare_tags(data, report)
        _compare_classes(data, report)
    _find_doubts(data, splits)
    for first, second in combinations(splits, 2):
        if first.list_name != second.list_name:  # one list may serve as both, and says so itself
            _compare_images(first, second)
    return DataReport(str(data.root), data.class_names, tuple(splits), strict)


def _read_split(data: SegmentationDataModule, report: SplitReport, *, progress: bool) -> None:
    tagged, source = report.split != "test", None
    try:
        source = data.reader.tag_source() if tagged else None
    except InputError as error:  # images and masks can be looked at without tags
        report.find(FindingKind.TAGS, str(error))
        tagged = False
    try:
        report.records = data.reader.read_records(report.list_name, tagged=tagged and source is None)
    except InputError as error:
        report.find(FindingKind.NO_LIST if isinstance(error, MissingListError) else FindingKind.LIST, str(error))
        return
    if tagged:
        own = {record.image_id: record.tags for record in report.records}
        _read_tags(report, source or own.__getitem__, kept=data.labels.indices - 1, progress=progress)


def _read_tags(report: SplitReport, source: TagSource, *, kept: NDArray[np.intp], progress: bool) -> None:
    records, about = report.records, f"{report.split}: tags"
    for record in track(records, description=about, total=len(records), enabled=progress):
        try:
            report.tags[record.image_id] = source(record.image_id)[kept]
        except InputError as error:
            report.find(FindingKind.TAGS, str(error), record.image_id)


def _check_list(report: SplitReport) -> None:
    count, published = len(report.records), report.published
    if published is not None and count not in (0, published):
        message = f"the list {report.list_name} has {count:,} images, published are {published:,}"
        report.find(FindingKind.COUNT, f"{message}: complete it, or compare no result with published ones.")
    for image_id, times in Counter(record.image_id for record in report.records).items():
        if times > 1:
            message = f"the list {report.list_name} has {times} images of the name {image_id}"
            report.find(FindingKind.REPEATED, f"{message}: give each its own, results are stored under it.", image_id)


def _inspect(data: SegmentationDataModule, report: SplitReport, *, processes: int, masks: bool, progress: bool) -> None:
    with_mask = masks and report.split != "test"
    # `data.encode` would send the whole data module to every process.
    look = partial(inspect, encode=data.labels.encode, with_mask=with_mask)
    about = f"{report.split}: {'images and masks' if with_mask else 'images'}"
    for image in in_parallel(look, report.records, processes=processes, description=about, progress=progress):
        for fault in image.faults:
            report.find(fault.kind, fault.message, image.image_id)
        if image.digest is not None:
            report.digests[image.image_id] = image.digest
        if image.shown is not None:
            report.shown[image.image_id] = image.shown[1 : data.num_classes + 1]
            report.ignoring += int(image.shown[IGNORE] and not image.shown[1:IGNORE].any())
        if image.orientation != 1:
            message = f"{image.image_id} is stored turned (EXIF orientation {image.orientation}) and read upright"
            report.find(FindingKind.TURNED, f"{message}: its mask has to fit the upright image.", image.image_id)


def _compare_tags(data: SegmentationDataModule, report: SplitReport) -> None:
    for record in report.records:
        tags, shown = report.tags.get(record.image_id), report.shown.get(record.image_id)
        if tags is not None and not tags.any() and not data.reader.has_background_images:
            message = f"{record.image} has no tag: right if it shows none of the classes, else add its tags."
            report.find(FindingKind.UNTAGGED, message, record.image_id)
        if tags is not None and shown is not None:
            _compare_with_mask(data, report, record, tags, shown)


def _compare_with_mask(
    data: SegmentationDataModule,
    report: SplitReport,
    record: Record,
    tags: NDArray[np.bool_],
    shown: NDArray[np.bool_],
) -> None:
    if untagged := _names(data, shown & ~tags):
        message = (
            f"{record.mask} shows {untagged}, which the tags ({data.tags_source}) lack: add the tag or correct it."
        )
        report.find(FindingKind.NO_TAG_OF_PIXELS, message, record.image_id)
    if unseen := _names(data, tags & ~shown):
        message = f"{record.mask} has no pixel of {unseen}, a tag of {data.tags_source}"
        report.find(
            FindingKind.NO_PIXELS_OF_TAG, f"{message}: right if it is difficult or hidden there.", record.image_id
        )


def _compare_classes(data: SegmentationDataModule, report: SplitReport) -> None:
    """Classes that no mask shows: with masks of 0 and 255, every score is that of the background alone."""
    common = [report.tags[image_id] for image_id in report.shown if image_id in report.tags]
    if not common or not any(tags.any() for tags in common):
        return
    if report.ignoring == len(report.shown):
        message = f"all {report.ignoring:,} masks of the list {report.list_name} hold 0 and 255 alone"
        report.find(FindingKind.IGNORED, f"{message}: 255 is ignored, write the classes' indices in its place.")
    shown, times = np.any([*report.shown.values()], axis=0), np.sum(common, axis=0)
    # One image alone may show an object that is too difficult to be outlined.
    unseen = ~shown & (times >= (2 if shown.any() else 1))
    for name in filter(None, _names(data, unseen).split(", ")):
        message = f"no mask of the list {report.list_name} has a pixel of {name}, which its tags name"
        report.find(FindingKind.UNSEEN, f"{message}: correct the masks or the tags.")


def _find_doubts(data: SegmentationDataModule, splits: Sequence[SplitReport]) -> None:
    first = splits[0]
    tagged = [replace(r, tags=first.tags[r.image_id]) for r in first.records if r.image_id in first.tags]
    for doubts in (always_tagged, seldom_tagged):
        for message in doubts(tagged, data.class_names, list_name=first.list_name):
            first.find(FindingKind.DOUBT, message)
    try:
        lists = [split.list_name for split in splits if split.records]
        for message in data.reader.warnings(lists):
            first.find(FindingKind.DOUBT, message)
        for message in data.reader.shapeless(lists):
            first.find(FindingKind.SHAPELESS, message)
    except InputError as error:  # of a list that nobody asked for; others are found already
        if str(error) not in {finding.message for split in splits for finding in split.findings}:
            first.find(FindingKind.DOUBT, str(error))


def _names(data: SegmentationDataModule, classes: NDArray[np.bool_]) -> str:
    return ", ".join(data.class_names[index] for index in np.flatnonzero(classes))


def _compare_images(first: SplitReport, second: SplitReport) -> None:
    lists = f"the lists {first.list_name} and {second.list_name}"
    images = {record.image: record for record in first.records}
    copied = {digest: image_id for image_id, digest in first.digests.items()}
    for record in second.records:
        original = copied.get(second.digests.get(record.image_id, ""))
        if record.image in images:
            second.find(FindingKind.SHARED, f"{record.image} is in {lists}: take it off one of them.", record.image_id)
        elif original is not None:
            message = f"{record.image} has the same content as {original}, by {lists}"
            second.find(FindingKind.COPY, f"{message}: take one of them off its list.", record.image_id)
