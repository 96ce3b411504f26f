import errno
import os
import re
import unicodedata
from functools import partial
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from PIL import Image

from wsss_lightning.data.coco_json import read_annotations
from wsss_lightning.data.images import read_image
from wsss_lightning.data.lists import read_list
from wsss_lightning.data.masks import read_mask
from wsss_lightning.data.names import doubtful_ids, doubtful_names, near_name, require_class_names, require_image_id
from wsss_lightning.data.pickles import read_pickled_arrays
from wsss_lightning.data.prepare.sbd import read_sbd_mask
from wsss_lightning.data.prepare.synsets import read_tree
from wsss_lightning.data.samples import Record, require_image, require_mask
from wsss_lightning.data.tag_table import read_tags
from wsss_lightning.data.yto import read_rows
from wsss_lightning.errors import InputError, obstacle


def test_names_in_order_pass() -> None:
    require_class_names(["hot dog", "dog/puppy", "Bär", "n/a", "a:b", *map(str, range(249))], "here")
    assert require_image_id(".a b%#[1]", "here") == ".a b%#[1]"


@pytest.mark.parametrize(
    ("names", "doubts"),
    [
        (["cat", "dog", "hot dog", "traffic light"], []),
        (["Cat", "dog", "cat", "CAT"], ["'Cat', 'cat', 'CAT' differ in case"]),
        (["tv monitor", "tv_monitor"], ["'tv monitor', 'tv_monitor' differ in case, separators"]),
        ([unicodedata.normalize(form, "bär") for form in ("NFC", "NFD")], ["Unicode form alone"]),
        (["cat", "dog", "cat dog"], ["'cat dog' joins the names of others"]),
        (["cat", "dog", "cat+dog"], ["'cat\\+dog' joins the names of others"]),
        (["cat", "cat dog"], []),
    ],
)
def test_doubtful_names_are_told(names: list[str], doubts: list[str]) -> None:
    found = doubtful_names(names)
    assert len(found) == len(doubts)
    for sentence, expected in zip(found, doubts, strict=True):
        assert re.search(expected, sentence)


def test_ids_that_are_one_on_some_file_systems_are_told() -> None:
    composed, apart = (unicodedata.normalize(form, "bär") for form in ("NFC", "NFD"))
    assert doubtful_ids(["a", "b", "ab"]) == []
    (sentence,) = doubtful_ids(["a", "A", composed, apart])
    assert sentence.startswith("the images 'a' and 'A' differ in case or Unicode form") and "(2 such pairs)" in sentence


@pytest.mark.parametrize("name", ["nan", "NaN", "null", "None", "N/A", "?"])
def test_what_a_spreadsheet_writes_for_nothing_is_a_doubtful_class(name: str) -> None:
    (sentence,) = doubtful_names(["cat", name])
    assert f"{name!r} reads as a missing value" in sentence


OBSTACLES = {
    errno.EACCES: "may not be read: give this account the right",
    errno.EPERM: "may not be read",
    errno.EISDIR: "is a folder: put a file",
    errno.ELOOP: "leads back to itself",
    errno.ENOTDIR: "lies below a file",
}


@pytest.mark.parametrize("number", OBSTACLES)
def test_what_stands_in_the_way_of_a_file_is_not_called_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Image, "open", refuse)
    readers = [read_image, read_mask, read_list, read_pickled_arrays, read_sbd_mask, read_tree]
    for read in [
        *readers,
        partial(read_annotations, outlines=True),
        partial(read_tags, names=None),
        partial(read_rows, names=["cat"]),
    ]:
        with pytest.raises(InputError, match=OBSTACLES[number]):
            read(tmp_path / "file")  # type: ignore[operator]
    assert obstacle(tmp_path, OSError(errno.EIO, "")) is None and obstacle(tmp_path, ValueError()) is None


@pytest.mark.parametrize(
    ("there", "asked", "words"),
    [
        ("a.JPG", "a.jpg", "'a.JPG'"),
        ("a.JPG", "a", "'a.JPG'"),
        ("a.png", "a.jpg", "'a.png'"),
        ("b.jpg", "a.jpg", None),
        (unicodedata.normalize("NFD", "bär.jpg"), unicodedata.normalize("NFC", "bär.jpg"), "another Unicode form"),
    ],
)
def test_a_file_of_nearly_the_name_is_told(tmp_path: Path, there: str, asked: str, words: str | None) -> None:
    (tmp_path / there).touch()
    found = near_name(tmp_path / asked)
    assert found is None if words is None else found is not None and words in found
    record = Record("a", tmp_path / asked, tmp_path / asked, np.zeros(1, bool))
    for require in (require_image, require_mask):
        with pytest.raises(InputError, match="does not exist" if words is None else "does not exist, but '.* is there"):
            require(record)
