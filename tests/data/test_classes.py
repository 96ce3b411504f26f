from pathlib import Path

import numpy as np
import pytest
from fake_data import write_voc

from wsss_lightning.data.classes import with_added, with_added_images, with_classes
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.errors import InputError


@pytest.fixture
def known(tmp_path: Path) -> VOCDataModule:
    write_voc(tmp_path / "known", aug="SegmentationAug/train_aug.txt")
    return VOCDataModule(root=tmp_path / "known", classes=["bicycle", "aeroplane"], tags="xml")


@pytest.fixture
def other(tmp_path: Path) -> VOCDataModule:
    """Another data set, with one class of the known one and others of its own."""
    names = ["bicycle", "giraffe", "zebra", "tree", "lake", "sky", "sun", "moon", "star", "cloud"]
    write_voc(tmp_path / "other", names=names, train=["a", "b", "c"], sbd=["d"], val=["e"])
    return VOCDataModule(root=tmp_path / "other", names=names, tags="xml", train_list="train")


def test_added_classes_stand_behind_the_known_ones(known: VOCDataModule) -> None:
    grown = with_added(data=known, classes=["bird"])
    assert grown.class_names == ("bicycle", "aeroplane", "bird")
    assert known.class_names == ("bicycle", "aeroplane")
    assert grown.decode(np.array([[1, 2, 3]], np.uint8)).tolist() == [[2, 1, 3]]
    bird = with_classes(data=known, classes=["bird"])
    for old, only, new in zip(*(d.records("train") for d in (known, bird, grown)), strict=True):
        assert new.tags.tolist() == [*old.tags, *only.tags]


def test_a_class_that_the_data_set_does_not_have_is_in_none_of_its_images(known: VOCDataModule) -> None:
    grown = with_added(data=known, classes=["giraffe"])
    assert grown.decode(np.array([[3]], np.uint8)).tolist() == [[21]]
    assert not any(record.tags[2] for split in ("train", "val") for record in grown.records(split))
    assert [r.tags[:2].tolist() for r in grown.records("val")] == [r.tags.tolist() for r in known.records("val")]


def test_training_images_of_the_same_data_that_show_an_added_class(known: VOCDataModule) -> None:
    shown = with_added_images(known=known, data=known, classes=["bird"])
    grown = with_added(data=known, classes=["bird"]).records("train")
    expected = [(r.image_id, r.tags.tolist()) for r in grown if r.tags[2]]
    assert [(r.image_id, r.tags.tolist()) for r in shown.records("train")] == expected
    assert 0 < len(expected) < len(grown)


def test_training_images_of_other_data_carry_the_known_classes_that_it_names(
    known: VOCDataModule, other: VOCDataModule
) -> None:
    shown = with_added_images(known=known, data=other, classes=["giraffe"])
    assert shown.class_names == ("bicycle", "aeroplane", "giraffe")
    own = [r for r in other.records("train") if r.tags[1]]
    assert own and [r.image_id for r in shown.records("train")] == [r.image_id for r in own]
    assert [r.tags.tolist() for r in shown.records("train")] == [[r.tags[0], False, True] for r in own]


def test_an_unknown_class_is_named(known: VOCDataModule) -> None:
    with pytest.raises(InputError, match="'unicorn' is unknown"):
        with_classes(data=known, classes=["unicorn"])
