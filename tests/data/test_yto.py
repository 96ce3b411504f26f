import shutil
from pathlib import Path

import numpy as np
import pytest
from fake_yto import box, write_yto

from wsss_lightning.data.prepare.yto import prepare_yto
from wsss_lightning.data.voc import VOC_CLASSES
from wsss_lightning.data.yto import YTO_CLASSES, YTODataModule
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.objects import open_data

HEADER = "class,video,shot,frame,image,mask,split\n"
LINE = "cat,0001,001,00001,cat/1.jpg,,train\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_yto(tmp_path)
    prepare_yto(tmp_path, progress=False)
    return tmp_path


def test_the_classes_are_ten_of_vocs_in_its_order() -> None:
    assert len(YTO_CLASSES) == 10
    assert tuple(name for name in VOC_CLASSES if name in YTO_CLASSES) == YTO_CLASSES


def test_a_frame_has_the_tag_of_its_folder_alone(root: Path) -> None:
    data = YTODataModule(root=root)
    for split in ("train", "val"):
        for record in data.records(split):
            assert [name for name, tag in zip(YTO_CLASSES, record.tags, strict=True) if tag] == [
                record.image_id.split("_")[0]
            ]
    assert data.tags_source == "folders"
    assert len({record.image_id for split in data.lists for record in data.records(split)}) == 35


def test_without_tags_all_are_absent(root: Path) -> None:
    data = YTODataModule(root=root, test_list="val")
    assert [record.image_id for record in data.records("test")] == [record.image_id for record in data.records("val")]
    assert not any(record.tags.any() for record in data.records("test"))


def test_training_opens_no_mask(root: Path) -> None:
    for folder in ("SegmentationClass", "youtube_masks"):
        (root / folder).rename(root / f"{folder}_away")
    data = YTODataModule(root=root, size=(8, 8), batch_size=4)
    assert next(iter(data.train_dataloader()))["image"].shape == (4, 3, 8, 8)


def test_train_frames_have_no_mask_and_say_so(root: Path) -> None:
    with pytest.raises(InputError, match=r"the mask of .*frame0001\.jpg does not exist"):
        YTODataModule(root=root).dataset("train", with_masks=True)


def test_a_class_that_is_not_kept_is_ignored(root: Path) -> None:
    data = YTODataModule(root=root, classes=["horse", "aeroplane"])
    aeroplane, _, dog, horse = data.records("val")
    assert set(np.unique(data.read_target(aeroplane))) == {0, 2}
    assert set(np.unique(data.read_target(dog))) == {0, 255} and not dog.tags.any()
    assert np.array_equal(data.read_target(horse), box(2))


def test_the_configuration_opens_it(root: Path) -> None:
    data = open_data("yto", root=root, overrides=["data.classes=[dog]"])
    assert isinstance(data, YTODataModule) and data.class_names == ("dog",)
    assert sum(record.tags.any() for record in data.records("train")) == 12


def test_a_moved_root_is_the_same_data(root: Path) -> None:
    moved = root.with_name("moved")
    shutil.move(root, moved)
    assert YTODataModule(root=moved, size=(8, 8)).dataset("val", with_masks=True)[3]["mask"].max() == 8


def test_further_columns_and_a_byte_order_mark_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").touch()
    text = "split,mask,note,image,frame,shot,video,class\nval,1.png,mine,1.jpg,7,a b,x/y,cat\n"
    (tmp_path / "manifest.csv").write_text(text, encoding="utf-8-sig")
    (record,) = YTODataModule(root=tmp_path).records("val")
    assert (record.image_id, record.image, record.mask) == ("cat_x-y_a-b_7", tmp_path / "1.jpg", tmp_path / "1.png")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"manifest\.csv lacks any frame: run `wsss data prepare yto` again"),
        (HEADER, "lacks any frame"),
        ("class,video,shot,frame,image\ncat,1,1,1,a.jpg\n", "lacks the columns mask, split"),
        (HEADER + LINE + LINE.replace("cat,", "wolf,"), "line 3: 'wolf' is none of aeroplane, bird"),
        (HEADER + LINE + LINE, "both have the id cat_0001_001_00001"),
        (HEADER + LINE.replace("train", "val"), "no frame of the split 'train'"),
        (HEADER + LINE, r"cat/1\.jpg does not exist"),
        (HEADER + '"' + LINE * 20_000, "cannot be read"),
        ("\0", "lacks|cannot be read"),
    ],
)
def test_a_faulty_manifest_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        YTODataModule(root=tmp_path).records("train")
    assert str(tmp_path) in str(error.value) and str(error.value).endswith(".")


def test_a_missing_manifest_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"does not exist: run `wsss data prepare yto --root {tmp_path}`"):
        YTODataModule(root=tmp_path).records("train")
