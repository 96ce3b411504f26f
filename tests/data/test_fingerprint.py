"""What of a data set's folder changes a key: what its reader opens there, masks and lists by content."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fake_data import write_coco, write_voc
from PIL import Image

from wsss_lightning.data.fingerprint import coco, folder, imagenet, voc
from wsss_lightning.data.folder import FolderReader
from wsss_lightning.data.masks import read_mask, write_mask
from wsss_lightning.pipeline.fingerprints import reading_fingerprint

Change = Callable[[Path], object]
LISTS = {"train_list": "train", "val_list": "val", "test_list": "test"}


def _voc(root: Path, *, tags: str = "auto", asked: frozenset[str] = frozenset()) -> str:
    reading = voc(root=root, **LISTS, tags=tags, asked=asked)
    return reading_fingerprint(reading, cache=root.with_name("cache"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_voc(tmp_path / "voc", tag_file="cls_labels.npy")
    return tmp_path / "voc"


def _append(name: str, text: str = "2009_000004\n") -> Change:
    def change(root: Path) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        with (root / name).open("a") as file:
            file.write(text)

    return change


def _swap_classes(root: Path) -> None:
    """Another mask in the same number of bytes, with the time of the old one put back but for a nanosecond."""
    path = root / "SegmentationClass" / "2007_000006.png"
    before, mask = path.stat(), read_mask(path)
    labels = np.unique(mask[(mask > 0) & (mask < 255)])
    exchanged = dict(zip(labels, labels[::-1], strict=True))
    assert len(labels) > 1
    write_mask(path, np.vectorize(lambda value: exchanged.get(value, value))(mask).astype(np.uint8))
    with path.open("ab") as file:
        file.write(b"\0" * (before.st_size - path.stat().st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


BESIDE = {
    "a note": _append("README.txt"),
    "a thumbnail": _append("JPEGImages/Thumbs.db"),
    "another list": _append("ImageSets/Segmentation/trainval.txt"),
    "an image of no list": _append("JPEGImages/2012_000001.jpg"),
    "an image of another list": lambda root: (root / "JPEGImages" / "2009_000004.jpg").unlink(),
    "tags of another list": _append("Annotations/2009_000004.xml", "<!-- -->"),
    "the mask that is not read": _append("SegmentationClassAug/2007_000006.png"),
    "the file of tags that is not read": _append("cls_labels.npy"),
    "a list of test": _append("ImageSets/Segmentation/test.txt"),
}
READ = {
    "a list": _append("ImageSets/Segmentation/val.txt"),
    "tags": _append("Annotations/2007_000001.xml", "<!-- -->"),
    "an image of another size": _append("JPEGImages/2007_000001.jpg"),
    "no image": lambda root: (root / "JPEGImages" / "2007_000001.jpg").unlink(),
    "a mask of another size": _append("SegmentationClass/2007_000006.png"),
    "no mask": lambda root: (root / "SegmentationClass" / "2007_000006.png").unlink(),
    "classes exchanged in a mask": _swap_classes,
}


@pytest.mark.parametrize("what", BESIDE)
def test_what_lies_beside_changes_nothing(root: Path, what: str) -> None:
    before = _voc(root)
    BESIDE[what](root)
    assert _voc(root) == before


@pytest.mark.parametrize("what", READ)
def test_what_is_read_counts(root: Path, what: str) -> None:
    before = _voc(root)
    size = (root / "SegmentationClass" / "2007_000006.png").stat().st_size
    READ[what](root)
    assert _voc(root) != before
    if "exchanged" in what:
        assert (root / "SegmentationClass" / "2007_000006.png").stat().st_size == size


def test_the_test_list_counts_where_a_stage_asks_for_it(root: Path) -> None:
    before = {asked: _voc(root, asked=frozenset({asked})) for asked in ("val", "test")}
    BESIDE["a list of test"](root)
    assert _voc(root, asked=frozenset({"val"})) == before["val"]
    assert _voc(root, asked=frozenset({"test"})) != before["test"]


def test_another_source_of_tags_is_another_data_set(root: Path) -> None:
    assert len({_voc(root, tags=tags) for tags in ("xml", "npy", "masks")}) == 3
    assert _voc(root, tags="auto") == _voc(root, tags="xml")


def test_a_folder_around_it_and_a_move_keep_the_fingerprint(root: Path, tmp_path: Path) -> None:
    before = _voc(root)
    moved = tmp_path / "elsewhere" / "VOCdevkit" / "VOC2012"
    moved.parent.mkdir(parents=True)
    root.rename(moved)
    assert _voc(tmp_path / "elsewhere") == _voc(moved) == before


def test_a_label_map_of_coco_counts_by_content(tmp_path: Path) -> None:
    def fingerprint() -> str:
        reading = coco(root=tmp_path, train_list="train2014", val_list="val2014", test_list=None, asked=frozenset())
        return reading_fingerprint(reading, cache=tmp_path / "cache")

    write_coco(tmp_path)
    before = fingerprint()
    _append("train2014/thumbnail.jpg")(tmp_path)
    assert fingerprint() == before
    (image, *_) = sorted((tmp_path / "val2014").iterdir())
    _append(f"SegmentationClass/val2014/{image.stem}.png")(tmp_path)
    painted = fingerprint()
    assert painted != before
    _append("SegmentationClass/val2014/conversion.json", "{}")(tmp_path)
    assert fingerprint() != painted


def _folder(root: Path) -> str:
    reading = folder(root=root, images="images", masks="masks", asked=frozenset())
    return reading_fingerprint(reading, cache=root / "cache")


@pytest.mark.parametrize("header", ["image,tags,split", "image,tags"])
def test_images_of_ones_own_count_by_their_list(tmp_path: Path, header: str) -> None:
    lines = ["a,cat,train", "b.png,dog,val", "c.png,dog,spare"]
    if "split" not in header:
        lines = [line.rpartition(",")[0] for line in lines]
        for name, image in {"train": "a", "val": "b", "spare": "c"}.items():
            (tmp_path / f"{name}.txt").write_text(f"{image}\n")
    (tmp_path / "tags.csv").write_text("\n".join([header, *lines]))
    (tmp_path / "images").mkdir()
    for name in ("a.jpg", "b.png", "c.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / "images" / name)
    before = _folder(tmp_path)
    for name in ("images/c.png", "images/d.png", "masks/c.png", "notes.txt"):
        _append(name)(tmp_path)
        assert _folder(tmp_path) == before
    for name in ("images/a.jpg", "masks/b.png", "tags.csv"):
        _append(name, "\n")(tmp_path)
        assert _folder(tmp_path) != before
        before = _folder(tmp_path)


def test_undivided_images_all_count(tmp_path: Path) -> None:
    (tmp_path / "tags.csv").write_text("image,tags\na.png,cat\n")
    before = _folder(tmp_path)
    _append("images/a.png")(tmp_path)
    assert _folder(tmp_path) != before


def test_images_of_imagenet_count_by_the_list_in_use(tmp_path: Path) -> None:
    def fingerprint() -> str:
        reading = imagenet(root=tmp_path, **{**LISTS, "test_list": None}, asked=frozenset())
        return reading_fingerprint(reading, cache=tmp_path / "cache")

    for name in ("train", "val", "other"):
        (tmp_path / f"{name}.csv").write_text(f"image_id,image,cat,dog\n{name},n/{name}.jpg,1,0\n")
        _append(f"n/{name}.jpg")(tmp_path)
    before = fingerprint()
    _append("n/other.jpg")(tmp_path)
    _append("other.csv")(tmp_path)
    assert fingerprint() == before
    _append("n/val.jpg")(tmp_path)
    assert fingerprint() != before


def test_it_is_asked_without_torch() -> None:
    code = "import sys, wsss_lightning.data.fingerprint; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_images_are_counted_by_split_also_where_some_are_held_out(tmp_path: Path) -> None:
    lines = "".join(f"{number}.png,cat\n" for number in range(10))
    (tmp_path / "tags.csv").write_text("image,tags\n" + lines)
    (tmp_path / "images").mkdir()
    undivided = folder(root=tmp_path, asked=frozenset())
    reading = folder(root=tmp_path, held_out=0.3, asked=frozenset())
    assert (undivided.count("train"), undivided.count("val")) == (10, 10)
    reader = FolderReader(tmp_path, held_out=0.3)
    for name in ("train", "val"):
        assert reading.count(name) == len(reader.read_records(name, tagged=True)) == {"train": 7, "val": 3}[name]
    assert repr(reading) == repr(undivided)  # the same files are read: keys stay
