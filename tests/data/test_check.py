"""What the command's tests cannot reach: other sources of tags, other data modules, processes, what is not opened."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_data import fake_tags, write_voc

from wsss_lightning.data import inspection
from wsss_lightning.data.base import Record, SegmentationDataModule
from wsss_lightning.data.check import check_data
from wsss_lightning.data.findings import DataReport, Finding, FindingKind, SplitReport
from wsss_lightning.data.reader import Reader
from wsss_lightning.data.voc import VOC_CLASSES, VOCDataModule, VOCReader

TRAIN, VAL = ["2007_000001", "2007_000002", "2008_000003"], ["2007_000006", "2007_000007"]
SBD = ["2009_000004", "2010_000005"]


class Listed(Reader):
    """A data set whose lists have their own tags, and that has no masks: two images show one class each."""

    def read_records(self, list_name: str, *, tagged: bool) -> list[Record]:
        assert tagged == (list_name != "test")
        return [self._record(line) for line in (self.root / list_name).read_text().split()]

    def _record(self, image_id: str) -> Record:
        tags = np.array([image_id == TRAIN[0], image_id == TRAIN[1]])
        return Record(image_id, self.root / "JPEGImages" / f"{image_id}.jpg", None, tags)

    @property
    def known_counts(self) -> Mapping[str, int]:
        return {"train": 4}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_voc(tmp_path, aug="Segmentation/train_aug.txt")
    return tmp_path


@pytest.fixture
def listed(root: Path) -> SegmentationDataModule:
    for name, ids in {"train": TRAIN, "val": VAL, "test": SBD}.items():
        (root / name).write_text("\n".join(ids))
    return SegmentationDataModule(reader=Listed(root, names=["one", "two"], tags="lists"), test_list="test")


def _check(data: SegmentationDataModule, *, processes: int = 1, masks: bool = True) -> DataReport:
    return check_data(data, processes=processes, masks=masks, progress=False)


def _kinds(findings: list[Finding]) -> list[tuple[str, str, str | None]]:
    return [(finding.kind.value, finding.split, finding.image_id) for finding in findings]


def test_counts_are_those_of_the_files(root: Path) -> None:
    report = _check(VOCDataModule(root=root))
    train, val = report.splits
    shown = [index for number in range(1, 6) for index in fake_tags(number, 20, difficult=True)]
    assert report.class_counts(train) == {name: shown.count(index) for index, name in enumerate(VOC_CLASSES)}
    assert (len(train.records), len(train.shown), len(val.records), len(val.shown)) == (5, 5, 2, 2)
    assert [train.images_with_tags(count) for count in (0, 1, 3)] == [0, 0, 5]


def test_the_number_of_processes_changes_nothing(root: Path) -> None:
    (root / "JPEGImages" / f"{TRAIN[1]}.jpg").unlink()
    (root / "JPEGImages" / f"{SBD[0]}.jpg").write_bytes(b"no picture")
    reports = [_check(VOCDataModule(root=root), processes=processes).as_json() for processes in (1, 2)]
    assert reports[0] == reports[1]
    assert len(reports[0]["errors"]) == 2


def test_the_same_content_under_another_name_is_a_note(root: Path) -> None:
    shutil.copy(root / "JPEGImages" / f"{SBD[1]}.jpg", root / "JPEGImages" / f"{VAL[1]}.jpg")
    report = _check(VOCDataModule(root=root))
    copies = [finding for finding in report.notes if finding.kind.value == "copy in two lists"]
    assert _kinds(copies) == [("copy in two lists", "val", VAL[1])]
    assert SBD[1] in copies[0].message and report.errors == []


def test_an_image_in_two_lists_is_no_copy_as_well(root: Path) -> None:
    report = _check(VOCDataModule(root=root, train_list="trainval"))
    assert _kinds(report.errors) == [("image in two lists", "val", image_id) for image_id in VAL]
    assert "copy in two lists" not in {finding.kind.value for finding in report.notes}


def test_missing_training_masks_are_a_note(root: Path) -> None:
    for image_id in SBD:
        (root / "SegmentationClassAug" / f"{image_id}.png").unlink()
    report = _check(VOCDataModule(root=root))
    assert report.errors == []
    assert {("missing mask", "train", image_id) for image_id in SBD} <= set(_kinds(report.notes))


def test_without_any_source_of_tags_images_and_masks_are_still_checked(root: Path) -> None:
    shutil.rmtree(root / "Annotations")
    (root / "JPEGImages" / f"{VAL[0]}.jpg").unlink()
    report = _check(VOCDataModule(root=root))
    tags = [("unreadable tags", split, None) for split in ("train", "val")]
    assert _kinds(report.errors) == [("missing image", "val", VAL[0]), *tags]
    assert len(report.splits[0].shown) == 5


def test_an_id_that_the_tag_file_lacks_is_its_own_fault(root: Path) -> None:
    shutil.rmtree(root / "Annotations")
    table = {image_id: np.eye(20, dtype=np.float32)[0] for image_id in [*TRAIN[1:], *SBD, *VAL]}
    np.save(root / "cls_labels.npy", table)
    report = _check(VOCDataModule(root=root, classes=["aeroplane"]), masks=False)
    assert _kinds(report.errors) == [("unreadable tags", "train", TRAIN[0])]
    assert report.class_counts(report.splits[0]) == {"aeroplane": 4}


def test_a_mask_without_its_image_is_still_looked_at(root: Path) -> None:
    shutil.copy(root / "SegmentationClass" / f"{VAL[0]}.png", root / "SegmentationClass" / f"{TRAIN[0]}.png")
    (root / "JPEGImages" / f"{TRAIN[0]}.jpg").unlink()
    assert _kinds(_check(VOCDataModule(root=root)).errors) == [
        ("missing image", "train", TRAIN[0]),
        ("pixels without tag", "train", TRAIN[0]),
    ]


def test_masks_are_opened_only_where_they_are_wanted(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    read = inspection.read_mask
    monkeypatch.setattr(inspection, "read_mask", lambda path: opened.append(path.stem) or read(path))
    (root / "ImageSets" / "Segmentation" / "test.txt").write_text(SBD[0])
    data = VOCDataModule(root=root, train_list="train", test_list="test")
    _check(data, masks=False)
    assert opened == []
    _check(data)
    assert opened == [*TRAIN, *VAL]


def test_tags_of_the_list_itself_are_counted(listed: SegmentationDataModule) -> None:
    report = _check(listed)
    assert report.errors == []
    assert report.class_counts(report.splits[0]) == {"one": 1, "two": 1}
    untagged = [("train", TRAIN[2]), ("val", VAL[0]), ("val", VAL[1])]
    expected = [("other count", "train", None), *(("image without tag", *where) for where in untagged)]
    expected.append(("worth a look", "train", None))  # both classes are shown by a single image
    assert _kinds(report.notes) == expected


def test_two_images_of_one_name_are_an_error(listed: SegmentationDataModule) -> None:
    (listed.root / "val").write_text(f"{VAL[0]} {VAL[0]} {VAL[1]}")
    assert _kinds(_check(listed).errors) == [("id of two images", "val", VAL[0])]


def test_what_is_published_is_known_of_vocs_own_lists_alone(root: Path) -> None:
    known = VOCReader(root).known_counts
    assert (known["train"], known["val"], known["trainval"], known["test"]) == (1464, 1449, 1464 + 1449, 1456)
    assert known["train_aug"] == known["trainaug"] == known["aug"] == 10582
    assert VOCReader(root, names=[*VOC_CLASSES[:-1], "lamp"]).known_counts == {}


def test_a_list_as_long_as_published_is_no_finding(listed: SegmentationDataModule) -> None:
    (listed.root / "train").write_text("\n".join([*TRAIN, SBD[0]]))
    assert "other count" not in {finding.kind.value for finding in _check(listed).notes}


def test_whether_a_finding_is_an_error() -> None:
    count = Finding(kind=FindingKind.COUNT, split="train", image_id=None, message="")
    assert (count.is_error(strict=False), count.is_error(strict=True)) == (False, True)
    absent = replace(count, kind=FindingKind.NO_LIST)
    assert absent.is_error(strict=False)
    test = replace(absent, split="test")
    assert (test.is_error(strict=False), test.is_error(strict=True)) == (False, True)


def test_findings_are_in_the_order_of_kinds_then_ids_whatever_came_first() -> None:
    split = SplitReport("val", "val", None)
    found = [(FindingKind.SIZE, "b"), (FindingKind.IMAGE, "c"), (FindingKind.SIZE, "a"), (FindingKind.NO_LIST, None)]
    for kind, image_id in found:
        split.find(kind, "", image_id)
    report = DataReport(root="", class_names=(), splits=(split,), strict=False)
    assert [(one.kind, one.image_id) for one in report.errors] == [found[3], found[1], found[2], found[0]]
