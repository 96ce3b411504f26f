"""Ids of lists are names: nothing that a list says is read or written outside of the data set and the store."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from wsss_lightning.atomic import replace_file
from wsss_lightning.data.coco_json import read_annotations
from wsss_lightning.data.imagenet import CatDogReader
from wsss_lightning.data.lists import read_list
from wsss_lightning.data.names import _MAX_BYTES, require_image_id, require_relative
from wsss_lightning.data.samples import Record
from wsss_lightning.data.tag_table import read_tags
from wsss_lightning.data.yto import YTOReader
from wsss_lightning.errors import InputError

BAD_PARTS = ["..", "a\0b", "a\nb", "a\\b", "C:a", "a\udce9b", "\x7f", " ", "x" * 256]
BAD_FILES = ["", ".", "/etc/a.jpg", "../a.jpg", "a/../../b.jpg", *BAD_PARTS, *(f"a/{part}/b.jpg" for part in BAD_PARTS)]
BAD_IDS = ["", ".", "/a", "../a", "a/b", *BAD_PARTS, "x" * (_MAX_BYTES + 1), "é" * _MAX_BYTES]
GOOD = ["2007_000032", "a b,c%#[1]", ".hidden", "...", "a..b", "Ünï_日本", "x" * _MAX_BYTES, "ab:c", "-rf", "~"]


@pytest.mark.parametrize("image_id", BAD_IDS, ids=lambda name: ascii(name)[:12])
def test_what_is_no_plain_name_is_no_id(image_id: str) -> None:
    with pytest.raises(InputError, match=r"^list, line 3: .* is no name of an image") as error:
        require_image_id(image_id, "list, line 3")
    assert str(error.value).isprintable() and len(str(error.value)) < 250
    with pytest.raises(InputError, match="no name of an image"):  # what every stage names its files by
        Record(image_id=image_id, image=Path("a.jpg"), mask=None, tags=np.zeros(1, bool))


@pytest.mark.parametrize("name", BAD_FILES, ids=lambda name: ascii(name)[:12])
def test_a_file_outside_of_the_folder_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"^list, line 3: .* is no file below its folder"):
        require_relative(name, "list, line 3")


@pytest.mark.parametrize("name", GOOD)
def test_names_of_any_language_are_good(name: str, tmp_path: Path) -> None:
    assert require_image_id(name, "") == name
    assert require_relative(f"a/b c/{name}", "") == f"a/b c/{name}"
    path = tmp_path / f"{name}.safetensors"  # the longest suffix of what is written for an image
    replace_file(path, lambda temporary: temporary.write_bytes(b""))
    assert path.is_file()


def _voc(root: Path, image_id: str) -> object:
    (root / "a.txt").write_text(f"{image_id}\n")
    return read_list(root / "a.txt")


def _csv(root: Path, image_id: str) -> object:
    (root / "a.csv").write_text(f"image,tags\n{image_id}.jpg,cat\n")
    return read_tags(root / "a.csv", names=None)


def _imagenet(root: Path, image_id: str) -> object:
    (root / "a.csv").write_text(f"image_id,image,cat,dog\n{image_id},b.jpg,1,0\n")
    return CatDogReader(root).read_records("a", tagged=True)


def _imagenet_file(root: Path, image_id: str) -> object:
    (root / "a.csv").write_text(f"image_id,image,cat,dog\nb,{image_id}.jpg,1,0\n")
    return CatDogReader(root).read_records("a", tagged=True)


def _yto(root: Path, image_id: str, column: str = "image") -> object:
    line = {"image": "b.jpg", "mask": "b.png"} | {column: f"{image_id}.jpg"}
    text = f"class,video,shot,frame,image,mask,split\ncat,1,1,1,{line['image']},{line['mask']},train\n"
    (root / "manifest.csv").write_text(text)
    return YTOReader(root).read_records("train", tagged=True)


def _yto_mask(root: Path, image_id: str) -> object:
    return _yto(root, image_id, column="mask")


def _coco(root: Path, image_id: str) -> object:
    entry = {"id": 1, "file_name": f"{image_id}.jpg"}
    content = {"images": [entry], "categories": [{"id": 1, "name": "cat"}], "annotations": []}
    (root / "a.json").write_text(json.dumps(content))
    return read_annotations(root / "a.json", outlines=False)


READERS = [_voc, _csv, _imagenet, _imagenet_file, _yto, _yto_mask, _coco]


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
@pytest.mark.parametrize(
    "image_id", ["../../x", "/tmp/x", "a\\x", "a/../../x", "a\x01x", "x" * 256], ids=lambda name: ascii(name)[:12]
)
def test_every_reader_refuses_what_leads_elsewhere(
    read: Callable[[Path, str], object], image_id: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"(a\.txt|a\.csv|manifest\.csv|a\.json)"):
        read(tmp_path, image_id)


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_every_reader_takes_a_plain_name(read: Callable[[Path, str], object], tmp_path: Path) -> None:
    assert read(tmp_path, "a..b-ü")
