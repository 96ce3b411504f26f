import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from wsss_lightning.data.names import doubtful_names, near_name, require_class_names, require_image_id
from wsss_lightning.data.samples import Record, require_image, require_mask
from wsss_lightning.errors import InputError


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
