from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_data import fake_tags, write_voc

from wsss_lightning.data.masks import write_mask
from wsss_lightning.data.tags import tags_from_masks, tags_from_npy, tags_from_xml
from wsss_lightning.data.voc import VOC_CLASSES
from wsss_lightning.errors import InputError

NAMES = ("cat", "dog", "cow")


def _save(path: Path, table: Any) -> Path:
    np.save(path, table)
    return path


def _xml(folder: Path, *objects: str) -> Path:
    body = "".join(f"<object><name>{name}</name></object>" for name in objects)
    (folder / "a.xml").write_text(f"<annotation>{body}</annotation>")
    return folder


def test_xml_lists_every_object_also_the_difficult_one(tmp_path: Path) -> None:
    write_voc(tmp_path)
    tags = tags_from_xml(tmp_path / "Annotations", names=VOC_CLASSES)("2007_000002")
    assert tags.dtype == np.bool_
    assert tags.shape == (20,)
    assert np.flatnonzero(tags).tolist() == fake_tags(2, 20, difficult=True) == [1, 2, 3]


def test_xml_counts_objects_not_their_number(tmp_path: Path) -> None:
    assert tags_from_xml(_xml(tmp_path, "cow", "cat", "cow"), names=NAMES)("a").tolist() == [True, False, True]


def test_xml_without_objects_gives_no_tags(tmp_path: Path) -> None:
    assert not tags_from_xml(_xml(tmp_path), names=NAMES)("a").any()


def test_xml_of_an_unknown_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.xml names 'unicorn', which is none of cat, dog, cow"):
        tags_from_xml(_xml(tmp_path, "cat", "unicorn"), names=NAMES)("a")


def test_damaged_and_missing_xml_are_named(tmp_path: Path) -> None:
    (tmp_path / "cut.xml").write_text("<annotation><object><name>cat</na")
    tags = tags_from_xml(tmp_path, names=NAMES)
    with pytest.raises(InputError, match=r"cut\.xml is not readable XML"):
        tags("cut")
    with pytest.raises(InputError, match=r"none\.xml does not exist"):
        tags("none")


@pytest.mark.parametrize(
    ("key", "image_id"),
    [
        (2007000032, "2007_000032"),
        (np.int64(2007000032), "2007_000032"),
        ("2007_000032", "2007_000032"),
        ("COCO_train2014_000000000009", "COCO_train2014_000000000009"),
        (9, "000000000009"),
    ],
    ids=str,
)
def test_npy_keys_are_numbers_or_ids(tmp_path: Path, key: Any, image_id: str) -> None:
    path = _save(tmp_path / "cls_labels.npy", {1: np.zeros(3), key: np.array([0, 1, 1], np.float32)})
    tags = tags_from_npy(path, names=NAMES)(image_id)
    assert tags.dtype == np.bool_
    assert tags.tolist() == [False, True, True]


def test_npy_without_the_id_names_both(tmp_path: Path) -> None:
    path = _save(tmp_path / "cls_labels.npy", {2007000032: np.zeros(3)})
    with pytest.raises(InputError, match=r"cls_labels\.npy has no tags of 2007_000033"):
        tags_from_npy(path, names=NAMES)("2007_000033")


@pytest.mark.parametrize("values", [np.zeros(4), np.zeros(2), np.zeros((1, 3)), np.array([0, 0.5, 1]), "dog"], ids=str)
def test_npy_with_other_values_is_refused(tmp_path: Path, values: Any) -> None:
    path = _save(tmp_path / "cls_labels.npy", {"a": values})
    with pytest.raises(InputError, match=r"cls_labels\.npy holds .* for a: 3 zeros and ones are needed"):
        tags_from_npy(path, names=NAMES)("a")


def test_npy_that_is_no_dictionary_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cls_labels\.npy holds ndarray: a dictionary"):
        tags_from_npy(_save(tmp_path / "cls_labels.npy", np.zeros((2, 3))), names=NAMES)


def test_masks_give_the_classes_that_have_a_pixel(tmp_path: Path) -> None:
    write_mask(tmp_path / "a.png", np.array([[0, 255, 3], [1, 1, 0]], np.uint8))
    tags = tags_from_masks(lambda image_id: tmp_path / f"{image_id}.png", names=NAMES)("a")
    assert tags.dtype == np.bool_
    assert tags.tolist() == [True, False, True]


@pytest.mark.parametrize("index", [4, 254])
def test_masks_with_an_unknown_index_are_refused(tmp_path: Path, index: int) -> None:
    write_mask(tmp_path / "a.png", np.array([[0, 255, index]], np.uint8))
    with pytest.raises(InputError, match=rf"a\.png holds index {index}, but there are 3 classes"):
        tags_from_masks(lambda image_id: tmp_path / f"{image_id}.png", names=NAMES)("a")


def test_xml_and_masks_differ_by_the_difficult_object(tmp_path: Path) -> None:
    write_voc(tmp_path)
    xml = tags_from_xml(tmp_path / "Annotations", names=VOC_CLASSES)("2007_000001")
    mask = tags_from_masks(lambda i: tmp_path / "SegmentationClass" / f"{i}.png", names=VOC_CLASSES)("2007_000001")
    assert np.flatnonzero(xml & ~mask).tolist() == [2]
    assert not (mask & ~xml).any()
