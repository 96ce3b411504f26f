from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wsss_lightning import pipeline
from wsss_lightning.data.folder import FolderDataModule
from wsss_lightning.data.masks import write_mask
from wsss_lightning.data.tag_table import read_tags
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.objects import open_data

TAGS = "image,tags\na cat.jpg,cat\nsub/Hündchen.PNG,dog;cat\nimg.003,\n4,dog\n"
IDS = ["a cat", "Hündchen", "img.003", "4"]
FILES = ("a cat.jpg", "sub/Hündchen.PNG", "img.003.png", "4.jpeg")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, name in enumerate(FILES):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (20, 30, 3), np.uint8)).save(path)
    (tmp_path / "tags.csv").write_text(TAGS, encoding="utf-8")
    return tmp_path


def _ids(data: FolderDataModule, split: Any = "train") -> list[str]:
    return [record.image_id for record in data.records(split)]


def _tags(data: FolderDataModule, split: Any = "train") -> list[list[str]]:
    return [[data.class_names[i] for i in np.flatnonzero(record.tags)] for record in data.records(split)]


def test_a_folder_of_images_of_another_name_is_asked_for(root: Path) -> None:
    (root / "images").rename(root / "photos")
    with pytest.raises(InputError, match=r"There is no folder .*/images: put the images there, or set data\.images\."):
        FolderDataModule(root=root).records("train")
    assert len(FolderDataModule(root=root, images="photos").records("train")) == 4


def test_images_and_tags_are_enough(root: Path) -> None:
    data = FolderDataModule(root=root)
    assert data.class_names == ("cat", "dog")
    assert _ids(data) == _ids(data, "val") == IDS
    assert _tags(data) == [["cat"], ["cat", "dog"], [], ["dog"]]
    assert [record.image for record in data.records("train")] == [root / "images" / name for name in FILES]
    assert len(list(data.train_dataloader())) == 4


def test_the_configuration_needs_the_root_alone(root: Path) -> None:
    data = open_data("folder", root=root, overrides=[])
    assert isinstance(data, FolderDataModule)
    assert data.class_names == ("cat", "dog")
    assert sorted(_ids(data) + _ids(data, "val")) == sorted(IDS) and len(_ids(data, "val")) == 1
    plan = pipeline.plan(["data=folder", f"data.root={root}", "backbone.weights=null", "result=predictions"])
    assert [stage.name for stage in plan.stages.values()][-1] == "predictions"


def test_a_run_without_masks_to_compare_with_ends_before_it_begins(root: Path, tmp_path: Path) -> None:
    settings = [
        f"data.root={root}",
        "data.masks=null",
        f"paths.root={tmp_path.parent / 'runs'}",
        "backbone.weights=null",
    ]
    plan = pipeline.plan(["method=cam", "data=folder", *settings])
    with pytest.raises(InputError, match=r"does not exist: add it, .* \(result=predictions\)"):
        pipeline.run(plan)
    assert not list((tmp_path.parent / "runs").rglob("stage.json"))


def test_the_order_of_the_classes_is_said_and_can_be_given(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="wsss_lightning")
    FolderDataModule(root=root)
    FolderDataModule(root=root)
    assert [record.message.partition(": ")[2] for record in caplog.records] == [
        "the classes, by mask index from 1 on, are cat, dog; data.names gives another order."
    ]
    caplog.clear()
    data = open_data("folder", root=root, overrides=["data.names=[sheep,dog,cat]"])
    assert not caplog.records
    data = open_data("folder", root=root, overrides=["data.names=[sheep,dog,cat]", "data.held_out=0"])
    assert _tags(data) == [["cat"], ["dog", "cat"], [], ["dog"]]
    assert data.records("train")[1].tags.tolist() == [False, True, True]


def test_kept_classes_and_their_masks(root: Path) -> None:
    for image_id in IDS:
        write_mask(root / "masks" / f"{image_id}.png", np.full((20, 30), 2, np.uint8))
    data = FolderDataModule(root=root, classes=("dog",))
    sample = data.dataset("val", with_masks=True)[1]
    assert sample["tags"].tolist() == [True] and sample["mask"].unique().tolist() == [1]


def test_no_mask_is_opened_for_tags(root: Path) -> None:
    (root / "masks").mkdir()
    (root / "masks" / "4.png").write_text("no PNG")
    data = FolderDataModule(root=root)
    assert len(list(data.train_dataloader())) == len(list(data.val_dataloader())) == 4
    with pytest.raises(InputError, match=r"masks/4\.png cannot be decoded"):
        data.read_target(data.records("val")[3])


@pytest.mark.parametrize("masks", ["masks", None])
def test_without_a_folder_of_masks_there_are_none(root: Path, masks: str | None) -> None:
    data = FolderDataModule(root=root, masks=masks)
    with pytest.raises(InputError, match=r"the mask of .*a cat\.jpg does not exist"):
        data.read_target(data.records("val")[0])


def test_a_column_divides_the_images(root: Path) -> None:
    splits = ["split", "train", "val", "train", "test"]
    lines = [f"{line},{split}" for line, split in zip(TAGS.splitlines(), splits, strict=True)]
    (root / "tags.csv").write_text("\n".join(lines), encoding="utf-8")
    (root / "train.txt").write_text("4\n")
    data = FolderDataModule(root=root, test_list="test")
    assert (_ids(data), _ids(data, "val"), _ids(data, "test")) == ([IDS[0], IDS[2]], [IDS[1]], [IDS[3]])
    assert _tags(data, "test") == [[]], "tags of a test list are not looked at"
    assert _ids(FolderDataModule(root=root, train_list="all")) == IDS
    with pytest.raises(InputError, match=r"no image of the list 'vall': name some in the column split of .*tags\.csv"):
        FolderDataModule(root=root, val_list="vall").records("val")


def test_lists_divide_the_images(root: Path) -> None:
    (root / "train.txt").write_text("4\nimg.003\n")
    data = FolderDataModule(root=root)
    assert _ids(data) == ["4", "img.003"] and _tags(data) == [["dog"], []]
    with pytest.raises(InputError, match=r"no image of the list 'val': name some in .*val\.txt, or choose 'all'"):
        data.records("val")
    (root / "val.txt").write_text("5\n")
    with pytest.raises(InputError, match=r"val\.txt names 5, which .*tags\.csv does not: give its tags there"):
        data.records("val")


def test_a_share_is_held_out_where_nothing_divides_the_images(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    def lists(share: float) -> tuple[set[str], set[str]]:
        data = FolderDataModule(root=root, held_out=share)
        return set(_ids(data)), set(_ids(data, "val"))

    train, val = lists(0.25)
    assert train | val == {*IDS} and len(val) == 1 and not train & val
    assert "1 of 4 images are held out for val (data.held_out)" in caplog.text
    (root / "tags.csv").write_text(f"{TAGS}5,dog\n6,cat\n", encoding="utf-8")
    assert val < set(FolderDataModule(root=root, held_out=0.34).reader.held_out), "more images, the same ones and more"
    (root / "tags.csv").write_text("image,tags\na cat.jpg,cat\n4,dog\nimg.003,dog\n", encoding="utf-8")
    train, val = lists(0.9)
    assert "a cat" in train and len(val) == 1, "each class keeps an image to train on"
    (root / "val.txt").write_text("4\n")
    (root / "train.txt").write_text("4\nimg.003\n")
    assert lists(0.9) == ({"4", "img.003"}, {"4"}), "lists come first"


def test_what_cannot_be_held_out_is_told(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    FolderDataModule(root=root).records("train")
    assert "no image is held out, so figures on val are of training images" in caplog.text
    with pytest.raises(InputError, match=r"data\.held_out=1 is no share"):
        FolderDataModule(root=root, held_out=1)
    (root / "tags.csv").write_text("image,tags\na cat.jpg,cat\n4,dog\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"each class keeps one to train on: set data\.held_out=0"):
        FolderDataModule(root=root, held_out=0.5).records("val")


def test_a_column_of_zeros_and_ones_per_class(root: Path) -> None:
    (root / "tags.csv").write_text("zebra,image,cat,split\n1,4,0,train\n1,img.003,1,val\n")
    data = FolderDataModule(root=root)
    assert data.class_names == ("zebra", "cat"), "in the order of the columns"
    assert (_tags(data), _tags(data, "val")) == ([["zebra"]], [["zebra", "cat"]])
    assert _tags(FolderDataModule(root=root, names=("cat", "zebra")), "val") == [["cat", "zebra"]]


def test_what_spreadsheets_write_is_read(root: Path) -> None:
    text = '\ufeff"image", "tags", "photographer"\r\n"a cat.jpg", " cat ; dog ;", "A, B"\r\n\r\n4,dog,\r\n'
    (root / "tags.csv").write_bytes(text.encode())
    assert _tags(FolderDataModule(root=root)) == [["cat", "dog"], ["dog"]]


def test_a_missing_image_is_named(root: Path) -> None:
    (root / "images" / "4.jpeg").unlink()
    with pytest.raises(InputError, match=r"images/4 does not exist"):
        FolderDataModule(root=root).records("train")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"has the columns \(none\): write `image,tags` above lines such as `a\.jpg,cat;dog`"),
        ("image;tags\na.jpg;cat\n", "has the columns image;tags: write"),
        ("file,tags\na.jpg,cat\n", "has the columns file, tags: write"),
        ("image\na.jpg\n", "has the columns image: write"),
        ("image,tags\n", "names no image"),
        ("image,tags\na.jpg,cat,dog\n", "line 2 has not one value per column"),
        ("image,tags\na.jpg,cat\nb.jpg\n", "line 3 has not one value per column"),
        ('image,tags\na.jpg,"cat,dog"\n', "line 2: the tags 'cat,dog' are separated by ','"),
        ("image,tags\n,cat\n", "line 2: '' is no file below its folder"),
        ("image,tags\n../a.jpg,cat\n", r"line 2: '\.\./a\.jpg' is no file below its folder"),
        ("image,tags\n/a.jpg,cat\n", "line 2: '/a.jpg' is no file below its folder"),
        ("image,tags\na.jpg,cat\n\nsub/a.png,dog\n", "lines 2 and 4: both images have the id a"),
        ("image,tags\na.jpg,cat\nb.jpg,dog;cow\n", "line 3: 'cow' is none of cat, dog: correct it or add it to names"),
        ("image,cat,cow\na.jpg,0,0\n", "line 1: 'cow' is none of cat, dog"),
        ("image,cat\na.jpg,yes\n", "line 2: cat is 'yes', not 0 or 1"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "tags.csv").write_text(text)
    with pytest.raises(InputError, match=rf"tags\.csv.*{message}") as error:
        read_tags(tmp_path / "tags.csv", names=("cat", "dog"))
    assert str(error.value).endswith(".") and "\n" not in str(error.value)


def test_tags_divided_by_spaces_are_refused_but_not_a_class_of_two_words(tmp_path: Path) -> None:
    path = tmp_path / "tags.csv"
    path.write_text("image,tags\na,dog\nb,person;traffic light\nc,dog person\n")
    with pytest.raises(InputError, match=r"line 4: the tags 'dog person' are separated by ' ': .* data\.names"):
        read_tags(path, names=None)
    named = ("dog", "person", "traffic light", "dog person")
    assert read_tags(path, names=named).rows[2].tags == {"dog person"}
    path.write_text("image,tags\na,dog\nb,person;traffic light\n")
    assert read_tags(path, names=None).names == ("dog", "person", "traffic light")


@pytest.mark.parametrize("content", [None, b"\xff\xfeimage,tags", b"PK\x03\x04\x00\xe4"], ids=["none", "utf16", "xlsx"])
def test_a_file_that_is_no_csv_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "tags.csv").write_bytes(content)
    with pytest.raises(
        InputError, match=r"tags\.csv (does not exist|is no text in UTF-8: save it so|cannot be read as CSV)"
    ):
        read_tags(tmp_path / "tags.csv", names=None)
