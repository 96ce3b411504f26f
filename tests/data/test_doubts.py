"""What a run says of a data set that is not refused, and what it refuses of two images under one name."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest
from fake_coco import write_coco
from fake_data import write_voc
from PIL import Image

from wsss_lightning.data.base import Record, SegmentationDataModule
from wsss_lightning.data.check import check_data
from wsss_lightning.data.coco import COCODataModule
from wsss_lightning.data.folder import FolderDataModule
from wsss_lightning.data.masks import write_mask
from wsss_lightning.data.reader import Reader
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.errors import InputError


class Doubled(Reader):
    """Two images of one name in two folders."""

    def read_records(self, list_name: str, *, tagged: bool) -> list[Record]:
        return [Record("a", self.root / folder / "a.jpg", None, np.ones(1, bool)) for folder in ("x", "y")]


def write_folder(root: Path, text: str, *, masks: dict[str, int] | None = None) -> FolderDataModule:
    """Images of all lines of a CSV, and masks with these values in one corner."""
    for line in text.splitlines()[1:]:
        path = root / "images" / line.split(",")[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(len(line)).integers(0, 256, (8, 6, 3), np.uint8)).save(path)
    for name, value in (masks or {}).items():
        mask = np.zeros((8, 6), np.uint8)
        mask[:3, :3] = value
        write_mask(root / "masks" / f"{name}.png", mask)
    (root / "tags.csv").write_text(text)
    return FolderDataModule(root=root)


def said(data: SegmentationDataModule, caplog: pytest.LogCaptureFixture) -> str:
    with caplog.at_level(logging.WARNING, logger="wsss_lightning"):
        data.records("train")
    return "\n".join(record.message for record in caplog.records)


def found(data: SegmentationDataModule, kind: str, *, strict: bool = False, errors: bool = False) -> str:
    report = check_data(data, processes=1, progress=False, strict=strict)
    findings = report.errors if errors else report.notes
    return "\n".join(finding.message for finding in findings if finding.kind.value == kind)


def test_two_images_of_one_name_are_refused_by_every_data_set(tmp_path: Path) -> None:
    data = SegmentationDataModule(reader=Doubled(tmp_path, names=["cat"], tags="lists"))
    with pytest.raises(InputError, match=r"list train: .*x/a\.jpg and .*y/a\.jpg both have the id a"):
        data.records("train")


def test_lines_that_no_list_uses_and_their_splits_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    splits = ("train ", " val", "Train", "valid", "", "train")
    lines = [f"{name}.png,{('cat', 'dog')[i % 2]},{splits[i]}\n" for i, name in enumerate("abcdef")]
    text = "image,tags,split\n" + "".join(lines)
    data = write_folder(tmp_path, text)
    expected = "3 images of .*tags.csv are in none of the lists train, val but in '', 'Train', 'valid', 'c' first"
    for words in (said(data, caplog), found(data, "worth a look")):
        assert re.search(expected, words)


def test_images_without_a_line_and_masks_without_an_image_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = write_folder(tmp_path, "image,tags\na.png,cat\nb.png,dog\n", masks={"a": 1, "b": 2, "a_mask": 1})
    Image.new("RGB", (6, 8)).save(tmp_path / "images" / "c.png")
    words = said(data, caplog)
    assert "1 image in" in words and "is not in tags.csv, 'c'." in words
    assert "1 file " in words and "*.png meets no image of tags.csv, 'a_mask'." in words


def test_a_class_in_all_images_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = write_folder(tmp_path, "image,tags\na.png,cat\nb.png,cat;dog\n")
    assert "every image of the list all is tagged cat: add images without it" in said(data, caplog)
    assert "tagged cat" in found(data, "worth a look") and "tagged dog" not in caplog.text


def test_a_class_that_no_image_shows_is_told_before_anything_is_computed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_voc(tmp_path)
    data = VOCDataModule(root=tmp_path, train_list="train", classes=["bird", "sheep"])
    assert "1 class is shown by no image of the list train, 'sheep'." in said(data, caplog)


def test_a_class_of_a_single_image_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = write_folder(tmp_path, "image,tags\na.png,cat\nb.png,cat;dog\nc.png,cow\nd.png,\n")
    words = "2 classes are shown by a single image of the list all, 'cow' first."
    assert words in said(data, caplog) and words in found(data, "worth a look")


def test_images_in_both_lists_are_told_by_a_run_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_voc(tmp_path)
    (tmp_path / "ImageSets/Segmentation/val.txt").write_text("2007_000001\n2007_000006\n")
    (tmp_path / "Annotations/2012_000099.xml").write_text("<annotation/>")
    words = said(VOCDataModule(root=tmp_path, train_list="train"), caplog)
    assert "1 image is in both lists, train and val: leave each in one of them, '2007_000001'." in words
    assert "JPEGImages are in no list of ImageSets" in words
    assert "Annotations/*.xml meets no image of JPEGImages, '2012_000099'." in words
    caplog.clear()
    assert said(VOCDataModule(root=tmp_path, train_list="train"), caplog) == ""  # once in a process


def test_masks_of_0_and_255_are_an_error(tmp_path: Path) -> None:
    data = write_folder(tmp_path, "image,tags\na.png,cat\nb.png,cat\nc.png,\n", masks={"a": 255, "b": 255, "c": 255})
    assert "all 3 masks of the list all hold 0 and 255 alone" in found(data, "masks without a label", errors=True)
    assert "no mask of the list all has a pixel of cat" in found(data, "class without a pixel", errors=True)


def test_a_class_that_one_difficult_object_has_is_no_error(tmp_path: Path) -> None:
    data = write_folder(tmp_path, "image,tags\na.png,cat\nb.png,cat;dog\n", masks={"a": 1, "b": 1})
    assert found(data, "class without a pixel", errors=True) == ""
    assert "no pixel of dog" in found(data, "tag without pixels")


def test_objects_without_an_outline_are_a_note_and_with_strict_an_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_coco(tmp_path)
    path = tmp_path / "annotations" / "instances_train2014.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["segmentation"] = []
    path.write_text(json.dumps(content))
    Image.new("RGB", (6, 8)).save(tmp_path / "train2014" / "extra.jpg")
    data = COCODataModule(root=tmp_path)
    assert "1 of 12 objects have no outline" in found(data, "objects without outline")
    assert "1 of 12 objects" in found(data, "objects without outline", strict=True, errors=True)
    words = said(COCODataModule(root=tmp_path), caplog)
    assert "1 of 12 objects have no outline" in words and "'extra.jpg'" in words


def test_a_photograph_stored_turned_is_a_note_and_its_mask_is_upright(tmp_path: Path) -> None:
    data = write_folder(tmp_path, "image,tags\na.jpg,cat\nb.jpg,dog\n", masks={"a": 1, "b": 2})
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 6)).save(tmp_path / "images" / "a.jpg", exif=exif)
    assert "a is stored turned (EXIF orientation 6) and read upright" in found(data, "image stored turned")
    assert data.dataset("val", with_masks=True)[0]["image"].shape == (3, 8, 6)
    write_mask(tmp_path / "masks" / "a.png", np.zeros((6, 8), np.uint8))
    sentence = found(data, "mask of another size", errors=True)
    assert "stored turned (EXIF orientation 6) and read upright, turn the mask likewise" in sentence
