from pathlib import Path

import numpy as np
import pytest
from fake_data import write_voc

from wsss_lightning.data.single_tag import with_single_tag, without_single_tag
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.errors import InputError


def open_voc(root: Path, *classes: str, count: int = 12) -> VOCDataModule:
    """Image n shows the classes of index n and n + 1, and in XML n + 2."""
    write_voc(root, train=[f"2007_{number:06d}" for number in range(1, count + 1)], sbd=[])
    return VOCDataModule(root=root, train_list="train", classes=classes or None)


def test_each_training_image_is_in_one_of_the_two(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc", "bicycle", "bird", "boat")
    single, others = with_single_tag(data=data, wrong=0.0, seed=0), without_single_tag(data=data)
    ids = [[record.image_id for record in each.records("train")] for each in (single, others)]
    assert all(record.tags.sum() == 1 for record in single.records("train"))
    assert not any(record.tags.sum() == 1 for record in others.records("train"))
    assert sorted(ids[0] + ids[1]) == [record.image_id for record in data.records("train")]
    assert ids[0] and ids[1]


def test_everything_else_stays(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc", "bicycle", "bird", "boat")
    before = [record.image_id for record in data.records("train")]
    for other in (with_single_tag(data=data, wrong=0.0, seed=0), without_single_tag(data=data)):
        assert other.class_names == data.class_names
        assert [r.image_id for r in other.records("val")] == [r.image_id for r in data.records("val")]
    assert [record.image_id for record in data.records("train")] == before


def test_a_share_is_filed_under_another_class(tmp_path: Path) -> None:
    classes = ("bicycle", "boat", "bus", "cat", "cow", "horse")  # none next to the next but one
    data = open_voc(tmp_path / "voc", *classes, count=20)
    right = {r.image_id: r.tags for r in with_single_tag(data=data, wrong=0.0, seed=0).records("train")}
    wrong = {}
    for share in (0.2, 0.5, 1.0):
        found = with_single_tag(data=data, wrong=share, seed=0).records("train")
        assert [record.image_id for record in found] == list(right)
        assert all(record.tags.sum() == 1 for record in found)
        wrong[share] = {r.image_id: r.tags.argmax() for r in found if not np.array_equal(r.tags, right[r.image_id])}
        assert len(wrong[share]) == round(share * len(right))
    assert wrong[0.2].items() <= wrong[0.5].items() <= wrong[1.0].items()
    other = with_single_tag(data=data, wrong=0.5, seed=1).records("train")
    assert {r.image_id for r in other if not np.array_equal(r.tags, right[r.image_id])} != wrong[0.5].keys()


def test_a_class_that_no_image_shows_alone_is_collected_beside_others(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc", "bicycle", "bird", "boat", "cow")
    plain = with_single_tag(data=data, wrong=0.0, seed=0).records("train")
    found = with_single_tag(data=data, wrong=0.0, seed=0, beside=True).records("train")
    counts = np.sum([record.tags for record in plain], axis=0)
    tags = {record.image_id: record.tags for record in data.records("train")}
    added = [record for record in found if record.image_id not in {each.image_id for each in plain}]
    assert [record.image_id for record in found[: len(plain)]] == [record.image_id for record in plain]
    assert added and np.sum([record.tags for record in added], axis=0).max() <= counts[counts > 0].min()
    for record in added:
        assert record.tags.sum() == 1 and tags[record.image_id].sum() > 1
        assert tags[record.image_id][record.tags.argmax()] and counts[record.tags.argmax()] == 0


def test_nothing_is_left(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc")
    with pytest.raises(InputError, match="take another source than single_tag"):
        with_single_tag(data=data, wrong=0.0, seed=0)
