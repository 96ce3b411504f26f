from pathlib import Path

import pytest
from fake_data import write_voc

from wsss_lightning.data.classes import showing, with_added, with_classes
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.errors import InputError


@pytest.fixture
def known(tmp_path: Path) -> VOCDataModule:
    write_voc(tmp_path, aug="SegmentationAug/train_aug.txt")
    return VOCDataModule(root=tmp_path, classes=["bicycle", "aeroplane"], tags="xml")


def test_added_classes_stand_behind_the_known_ones(known: VOCDataModule) -> None:
    grown = with_added(data=known, classes=["bird"])
    assert grown.class_names == ("bicycle", "aeroplane", "bird")
    assert known.class_names == ("bicycle", "aeroplane")
    for old, new in zip(known.records("train"), grown.records("train"), strict=True):
        assert new.tags[:2].tolist() == old.tags.tolist()


def test_other_classes_of_the_same_images(known: VOCDataModule) -> None:
    birds = with_classes(data=known, classes=["bird"])
    assert [r.image_id for r in birds.records("train")] == [r.image_id for r in known.records("train")]
    assert birds.num_classes == 1


def test_only_training_images_that_show_a_class(known: VOCDataModule) -> None:
    grown = with_added(data=known, classes=["bird"])
    shown = showing(data=grown, classes=["bird"])
    expected = [r.image_id for r in grown.records("train") if r.tags[2]]
    assert [r.image_id for r in shown.records("train")] == expected
    assert 0 < len(expected) < len(grown.records("train"))
    assert len(shown.records("val")) == len(known.records("val"))


def test_an_unknown_class_is_named(known: VOCDataModule) -> None:
    with pytest.raises(InputError, match="'unicorn' is unknown"):
        with_added(data=known, classes=["unicorn"])
