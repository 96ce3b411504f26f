"""What `wsss data check` found: errors, notes and counts, by split.

An error stops a run or makes its numbers wrong. A note is what a data set in order may show, too: VOC's XML lists
objects without a pixel, a copy may hold fewer images than are published, weak supervision needs no training masks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from wsss_lightning.data.base import Record, Split


class FindingKind(StrEnum):
    """What can be wrong with a data set, in the order of a report."""

    NO_LIST = "no list"
    LIST = "unusable list"
    COUNT = "other count"
    REPEATED = "id of two images"
    SHARED = "image in two lists"
    COPY = "copy in two lists"
    NO_IMAGE = "missing image"
    IMAGE = "unreadable image"
    TAGS = "unreadable tags"
    SHAPELESS = "objects without outline"
    NO_MASK = "missing mask"
    MASK = "unreadable mask"
    TURNED = "image stored turned"
    SIZE = "mask of another size"
    INDEX = "unknown index"
    NO_TAG_OF_PIXELS = "pixels without tag"
    NO_PIXELS_OF_TAG = "tag without pixels"
    IGNORED = "masks without a label"
    UNSEEN = "class without a pixel"
    UNTAGGED = "image without tag"
    DOUBT = "worth a look"


# Published sets hold some copies, too, and published numbers include them.
_NOTES = {FindingKind.COPY, FindingKind.NO_PIXELS_OF_TAG, FindingKind.UNTAGGED, FindingKind.TURNED, FindingKind.DOUBT}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong; `message` is a sentence that names the file and the remedy."""

    kind: FindingKind
    split: Split
    image_id: str | None
    message: str

    def is_error(self, *, strict: bool) -> bool:
        """Whether it is more than a note; `strict` wants all that is published, the test list included."""
        if self.kind in (FindingKind.COUNT, FindingKind.SHAPELESS):
            return strict
        if self.kind is FindingKind.NO_LIST:
            return strict or self.split != "test"
        if self.kind is FindingKind.NO_MASK:
            return self.split != "train"
        return self.kind not in _NOTES


@dataclass(eq=False)
class SplitReport:
    """A split, as far as it can be read.

    Args:
        split: which one.
        list_name: the list it is read from.
        published: how many images that list has where the data set is complete; None where nothing is known.
        records: its images, in order.
        tags: (C,) bool of the kept classes, by image id; without the images whose tags are unreadable.
        shown: (C,) bool, the kept classes with a pixel in the mask, by image id; of the faultless masks.
        ignoring: how many of these masks have no pixel but of 0 and 255, and of 255 some.
        digests: of the image files' contents, by image id; of the readable images.
        findings: what is wrong.
    """

    split: Split
    list_name: str
    published: int | None
    records: list[Record] = field(default_factory=list)
    tags: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    shown: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    ignoring: int = 0
    digests: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def find(self, kind: FindingKind, message: str, image_id: str | None = None) -> None:
        """Add a finding."""
        self.findings.append(Finding(kind, self.split, image_id, message))

    def images_with_tags(self, count: int) -> int:
        """How many images have `count` tags."""
        return sum(int(tags.sum()) == count for tags in self.tags.values())


@dataclass(frozen=True, eq=False)
class DataReport:
    """The splits of a data set; `class_names` are the C kept classes. With `strict`, some notes are errors."""

    root: str
    class_names: tuple[str, ...]
    splits: tuple[SplitReport, ...]
    strict: bool

    @property
    def errors(self) -> list[Finding]:
        """What has to be put right, by kind."""
        return [finding for finding in self._findings() if finding.is_error(strict=self.strict)]

    @property
    def notes(self) -> list[Finding]:
        """What is worth knowing, by kind."""
        return [finding for finding in self._findings() if not finding.is_error(strict=self.strict)]

    def class_counts(self, report: SplitReport) -> dict[str, int]:
        """How many images of a split are tagged with each class."""
        counts = sum(report.tags.values(), start=np.zeros(len(self.class_names), int))
        return dict(zip(self.class_names, counts.tolist(), strict=True))

    def as_json(self) -> dict[str, Any]:
        """All of it in plain values."""
        splits = {report.split: self._split_as_json(report) for report in self.splits}
        return {
            "root": self.root,
            "strict": self.strict,
            "splits": splits,
            "errors": [vars(finding) for finding in self.errors],
            "notes": [vars(note) for note in self.notes],
        }

    def _split_as_json(self, report: SplitReport) -> dict[str, Any]:
        return {
            "list": report.list_name,
            "images": len(report.records),
            "published": report.published,
            "masks": len(report.shown),
            "untagged": report.images_with_tags(0),
            "one_tag": report.images_with_tags(1),
            "classes": self.class_counts(report),
        }

    def _findings(self) -> list[Finding]:
        order = list(FindingKind)
        findings = [finding for report in self.splits for finding in report.findings]
        # Images are looked through in no order: this makes two reports of the same data equal.
        return sorted(findings, key=lambda one: (order.index(one.kind), one.split, one.image_id or ""))
