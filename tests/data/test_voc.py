import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_data import PSA_LINE, SEC_LINE, fake_mask, fake_tags, write_voc

from wsss_lightning.data.masks import read_mask
from wsss_lightning.data.voc import VOC_CLASSES, VOCDataModule
from wsss_lightning.errors import InputError

TRAIN = ["2007_000001", "2007_000002", "2008_000003"]
SBD = ["2009_000004", "2010_000005"]
ANIMALS = ("cat", "cow", "dog", "horse", "person", "sheep")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_voc(tmp_path / "VOCdevkit" / "VOC2012", aug="SegmentationAug/train_aug.txt")
    return tmp_path / "VOCdevkit" / "VOC2012"


def _ids(module: VOCDataModule, split: Any = "train") -> list[str]:
    return [record.image_id for record in module.records(split)]


def test_the_classes_are_vocs_in_its_order() -> None:
    assert len(VOC_CLASSES) == 20
    assert list(VOC_CLASSES) == sorted(VOC_CLASSES)
    assert VOC_CLASSES[14] == "person"


def test_a_root_that_is_none_is_told_with_a_child_that_is_one(root: Path, tmp_path: Path) -> None:
    (tmp_path / "about.txt").touch()
    (tmp_path / "a").mkdir()
    with pytest.raises(InputError, match=r"has a folder JPEGImages; set data\.root=FOLDER\.$"):
        VOCDataModule(root=tmp_path / "a")
    root.parent.rename(tmp_path / "small")
    with pytest.raises(InputError, match=rf"set data\.root={tmp_path / 'small'}\.$"):
        VOCDataModule(root=tmp_path)


@pytest.mark.parametrize("above", [0, 1, 2])
def test_root_is_the_folder_or_one_above(root: Path, above: int) -> None:
    given = [root, *root.parents][above]
    assert VOCDataModule(root=given).root == root
    assert VOCDataModule(root=str(given)).root == root


def test_a_root_without_voc_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="JPEGImages") as error:
        VOCDataModule(root=tmp_path)
    assert str(tmp_path / "VOCdevkit" / "VOC2012") in str(error.value)


@pytest.mark.parametrize("line", ["{id}", PSA_LINE, SEC_LINE], ids=["id", "psa", "sec"])
@pytest.mark.parametrize("aug", ["Segmentation/trainaug", "SegmentationAug/train_aug"])
def test_train_aug_is_train_and_sbd_in_every_format(tmp_path: Path, aug: str, line: str) -> None:
    write_voc(tmp_path, aug=f"{aug}.txt", line=line)
    module = VOCDataModule(root=tmp_path)
    assert _ids(module) == TRAIN + SBD
    assert _ids(module, "val") == ["2007_000006", "2007_000007"]
    assert _ids(VOCDataModule(root=tmp_path, train_list="train")) == TRAIN


def test_a_missing_list_says_where_it_looked(tmp_path: Path) -> None:
    write_voc(tmp_path)
    with pytest.raises(InputError, match=r"SegmentationAug/train_aug\.txt"):
        VOCDataModule(root=tmp_path).records("train")


def test_vocs_own_mask_comes_before_the_augmented_one(root: Path) -> None:
    masks = {record.image_id: record.mask for record in VOCDataModule(root=root).records("train")}
    assert masks["2007_000001"] == root / "SegmentationClass" / "2007_000001.png"
    assert masks["2009_000004"] == root / "SegmentationClassAug" / "2009_000004.png"
    assert 255 in read_mask(masks["2007_000001"])
    assert 255 not in read_mask(masks["2009_000004"])


def test_targets_are_the_masks(root: Path) -> None:
    module = VOCDataModule(root=root)
    for number, record in enumerate(module.records("train"), 1):
        expected = fake_mask(number, (24, 32), 20, border=record.image_id not in SBD)
        assert np.array_equal(module.read_target(record), expected)


def test_a_dataset_with_masks_gives_labels_of_the_kept_classes(root: Path) -> None:
    module = VOCDataModule(root=root, classes=("bird", "bicycle"))
    sample = module.dataset("train", with_masks=True)[1]  # shows classes 2 and 3, boat (4) is difficult
    assert sample["tags"].tolist() == [True, True]
    assert sorted(sample["mask"].unique().tolist()) == [0, 1, 2, 255]
    own = fake_mask(2, (24, 32), 20, border=True)
    assert np.array_equal(sample["mask"].numpy() == 1, own == 3)
    assert np.array_equal(sample["mask"].numpy() == 2, own == 2)


def test_weak_supervision_needs_no_mask_at_all(root: Path) -> None:
    for path in root.glob("SegmentationClass*/*.png"):
        path.unlink()
    module = VOCDataModule(root=root)
    assert len(list(module.train_dataloader())) == 5
    with pytest.raises(InputError, match=r"SegmentationClassAug/2007_000001\.png does not exist"):
        module.dataset("train", with_masks=True)


@pytest.mark.parametrize("tag_file", ["cls_labels.npy", "cls_labels_onehot.npy"])
@pytest.mark.parametrize("source", ["xml", "npy", "masks"])
def test_tags_of_each_source(tmp_path: Path, source: str, tag_file: str) -> None:
    write_voc(tmp_path, tag_file=tag_file)
    module = VOCDataModule(root=tmp_path, train_list="train", tags=source)
    assert module.tags_source == source
    for number, record in enumerate(module.records("train"), 1):
        assert np.flatnonzero(record.tags).tolist() == fake_tags(number, 20, difficult=source != "masks")


def test_auto_takes_xml_then_the_tag_file_and_never_the_masks(tmp_path: Path) -> None:
    write_voc(tmp_path / "both", tag_file="cls_labels.npy")
    assert VOCDataModule(root=tmp_path / "both").tags_source == "xml"
    write_voc(tmp_path / "npy", tag_file="cls_labels_onehot.npy", xml=False)
    assert VOCDataModule(root=tmp_path / "npy").tags_source == "npy"
    write_voc(tmp_path / "none", xml=False)
    with pytest.raises(InputError, match=r'has no image tags: add Annotations/\*\.xml or .*tags="masks"'):
        VOCDataModule(root=tmp_path / "none", train_list="train").records("train")
    assert VOCDataModule(root=tmp_path / "none", tags="masks").tags_source == "masks"


def test_a_tag_file_that_is_asked_for_but_missing_is_named(root: Path) -> None:
    with pytest.raises(InputError, match=r"cls_labels\.npy does not exist"):
        VOCDataModule(root=root, tags="npy").records("train")


def test_a_tag_file_without_an_id_names_both(tmp_path: Path) -> None:
    write_voc(tmp_path, tag_file="cls_labels.npy")
    np.save(tmp_path / "cls_labels.npy", {2007000001: np.zeros(20)})  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"cls_labels\.npy has no tags of 2007_000002"):
        VOCDataModule(root=tmp_path, train_list="train", tags="npy").records("train")


def test_an_unknown_source_lists_the_known_ones(root: Path) -> None:
    with pytest.raises(InputError, match="tags='json' is unknown: choose from auto, xml, npy, masks"):
        VOCDataModule(root=root, tags="json")


def test_other_names_in_vocs_layout(tmp_path: Path) -> None:
    names = ("egg", "brick", "tent")
    ids = ("train_000000", "train_000001")
    write_voc(tmp_path, train=ids, sbd=(), val=("val_000000",), names=names)
    module = VOCDataModule(root=tmp_path, names=names, train_list="train")
    assert module.class_names == names
    assert _ids(module) == list(ids)
    assert module.records("val")[0].tags.tolist() == [True, True, True]


def test_xml_with_a_class_that_is_not_in_names_is_refused(root: Path) -> None:
    with pytest.raises(InputError, match=r"2007_000001\.xml names 'bicycle'"):
        VOCDataModule(root=root, names=("aeroplane",)).records("train")


def test_a_listed_image_that_is_missing_is_named(root: Path) -> None:
    (root / "JPEGImages" / "2009_000004.jpg").unlink()
    with pytest.raises(InputError, match=r"JPEGImages/2009_000004\.jpg does not exist.*take 2009_000004 off the list"):
        VOCDataModule(root=root).records("train")


def _real_data() -> Path:
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("WSSS_REAL_DATA", beside)) / "voc_animals"
    if not folder.is_dir():
        pytest.skip("the real data is not here")
    return folder


@pytest.mark.long
def test_the_animals_of_voc() -> None:
    module = VOCDataModule(root=_real_data(), classes=ANIMALS, train_list="train", size=(64, 64), batch_size=16)
    assert module.tags_source == "npy"
    train, val = module.records("train"), module.records("val")
    assert (len(train), len(val)) == (437, 223)
    counts = dict(zip(ANIMALS, np.sum([record.tags for record in train], axis=0).tolist(), strict=True))
    assert counts == {"cat": 131, "dog": 121, "person": 79, "horse": 68, "sheep": 63, "cow": 62}
    seen = set()
    for record in val:
        target = module.read_target(record)
        seen |= set(np.unique(target).tolist())
    assert seen == {0, 1, 2, 3, 4, 5, 6, 255}
    assert sum(len(batch["image_id"]) for batch in module.val_dataloader()) == 223


@pytest.mark.long
@pytest.mark.parametrize(("name", "images", "single"), [("train", 437, 304), ("train_aug", 3131, 2092)])
def test_images_of_the_animals_with_one_of_all_twenty_tags(name: str, images: int, single: int) -> None:
    records = VOCDataModule(root=_real_data(), train_list=name).records("train")
    assert len(records) == images
    assert sum(record.tags.sum() == 1 for record in records) == single
