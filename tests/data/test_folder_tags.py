"""One's own images with annotations in COCO's form, or in a folder for each class."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from wsss_lightning import pipeline
from wsss_lightning.cli import app
from wsss_lightning.data.fingerprint import folder
from wsss_lightning.data.folder import FolderDataModule
from wsss_lightning.data.masks import read_mask
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.fingerprints import reading_fingerprint
from wsss_lightning.pipeline.objects import open_data

BOX = {"segmentation": [[1, 2, 5, 2, 5, 6, 1, 6]], "iscrowd": 0, "area": 16}  # columns 1..4, rows 2..5
CONTENT: dict[str, Any] = {
    "images": [{"id": n, "file_name": name, "height": 8, "width": 10} for n, name in [(7, "b.png"), (3, "sub/a.jpg")]],
    "categories": [{"id": n, "name": name} for n, name in [(0, "animals"), (5, "dog"), (2, "cat")]],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 2, **BOX},
        {"id": 2, "image_id": 7, "category_id": 5, **BOX, "area": 1},
        {"id": 3, "image_id": 3, "category_id": 5, **BOX},
    ],
}


def _draw(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (10, 8)).save(path)


def _tags(data: FolderDataModule, split: Any = "train") -> dict[str, list[str]]:
    return {r.image_id: [data.class_names[i] for i in np.flatnonzero(r.tags)] for r in data.records(split)}


def _fingerprint(root: Path, tags: str) -> str:
    reading = folder(root=root, images="images", masks="masks", tags=tags, asked=frozenset())
    return reading_fingerprint(reading, cache=root / "cache")


@pytest.fixture
def annotated(tmp_path: Path) -> Path:
    _draw(tmp_path / "images" / "b.png", tmp_path / "images" / "sub" / "a.jpg")
    (tmp_path / "a.json").write_text(json.dumps(CONTENT))
    return tmp_path


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    _draw(*(tmp_path / "images" / name for name in ("dog/1.png", "cat/1.png", "cat/old/2.jpg", ".hidden/3.png")))
    (tmp_path / "images" / "cat" / "notes.txt").write_text("no image")
    return tmp_path


def test_annotations_say_which_classes_an_image_shows(annotated: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="wsss_lightning")
    data = FolderDataModule(root=annotated, tags="a.json")
    assert data.class_names == ("dog", "cat"), "in the file's order, without what nothing is annotated as"
    assert _tags(data) == {"b": ["dog", "cat"], "a": ["dog"]}
    assert "the classes, by mask index from 1 on, are dog, cat" in caplog.text
    assert _tags(FolderDataModule(root=annotated, tags="a.json", names=["cat", "dog"]))["b"] == ["cat", "dog"]
    (annotated / "train.txt").write_text("a\n")
    assert _tags(FolderDataModule(root=annotated, tags="a.json")) == {"a": ["dog"]}
    with pytest.raises(InputError, match=r"a\.json has the category 'cat', which is no class: .* data\.names"):
        FolderDataModule(root=annotated, tags="a.json", names=["dog"])


def test_a_csv_of_tags_needs_no_preparation(annotated: Path) -> None:
    with pytest.raises(InputError, match=r"^--tags tags\.csv: masks are painted from annotations in COCO's form"):
        CliRunner().invoke(
            app, ["data", "prepare", "folder", "--root", str(annotated), "--tags", "tags.csv"], catch_exceptions=False
        )


def test_masks_are_painted_from_the_outlines_in_the_classes_order(annotated: Path) -> None:
    arguments = ["data", "prepare", "folder", "--root", str(annotated), "--tags", "a.json", "--processes", "1"]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0 and "2 masks of dog, cat in" in done.stdout
    expected = np.zeros((8, 10), np.uint8)
    expected[2:6, 1:5] = 1  # the dog is the smaller of the two
    assert np.array_equal(read_mask(annotated / "masks" / "b.png"), expected)
    data = FolderDataModule(root=annotated, tags="a.json")
    assert np.array_equal(data.read_target(data.records("val")[1]), expected)
    with pytest.raises(InputError, match=r"masks was painted with the classes dog, cat, data\.names has cat, dog"):
        FolderDataModule(root=annotated, tags="a.json", names=["cat", "dog"])
    renumbered = [*arguments, "--names", "cat,dog"]
    with pytest.raises(InputError, match=r"masks was painted with other options \(.*names dog, cat\): repeat those"):
        CliRunner().invoke(app, renumbered, catch_exceptions=False)
    assert CliRunner().invoke(app, [*renumbered, "--overwrite"], catch_exceptions=False).exit_code == 0
    assert read_mask(annotated / "masks" / "b.png").max() == 2


def test_folders_are_classes_and_their_path_is_the_id(classes: Path) -> None:
    data = FolderDataModule(root=classes, tags="folders")
    assert data.class_names == ("cat", "dog")
    assert _tags(data) == {"cat_1": ["cat"], "cat_old_2": ["cat"], "dog_1": ["dog"]}
    assert len(list(data.train_dataloader())) == 3 and data.tags_source == "folders"
    assert FolderDataModule(root=classes, tags="folders", names=["dog", "cat", "cow"]).class_names[2] == "cow"
    with pytest.raises(InputError, match=r"images: the folder dog is none of cat: add it to data\.names"):
        FolderDataModule(root=classes, tags="folders", names=["cat"])
    _draw(classes / "images" / "cat" / "old_2.png")
    with pytest.raises(InputError, match=r"cat/old/2\.jpg and .*cat/old_2\.png both have the id cat_old_2"):
        FolderDataModule(root=classes, tags="folders")


def test_folders_may_be_divided_into_splits(tmp_path: Path) -> None:
    _draw(*(tmp_path / "images" / name for name in ("train/cat/1.png", "train/dog/1.png", "val/cat/1.png")))
    data = FolderDataModule(root=tmp_path, tags="folders", held_out=0.5)
    assert _tags(data) == {"train_cat_1": ["cat"], "train_dog_1": ["dog"]}
    assert _tags(data, "val") == {"val_cat_1": ["cat"]}
    with pytest.raises(InputError, match=r"no image of the list 'test': name some in the folder .*images/test"):
        FolderDataModule(root=tmp_path, tags="folders", val_list="test").records("val")


@pytest.mark.parametrize(("tags", "file"), [("a.json", "b.png"), ("folders", "cat/1.png")])
def test_what_is_read_is_in_the_key(tags: str, file: str, annotated: Path, classes: Path) -> None:
    before = _fingerprint(annotated, tags)
    (annotated / "notes.md").write_text("nobody reads this")
    assert _fingerprint(annotated, tags) == before
    (annotated / "images" / file).write_bytes(b"another")
    assert _fingerprint(annotated, tags) != before
    before = _fingerprint(annotated, tags)
    _draw(annotated / "images" / "cat" / "9.png")
    (annotated / "a.json").write_text(json.dumps({**CONTENT, "annotations": CONTENT["annotations"][:1]}))
    assert _fingerprint(annotated, tags) != before


def test_both_are_chosen_on_the_command_line(annotated: Path, classes: Path) -> None:
    for tags, count in (("a.json", 2), ("folders", 4)):
        data = open_data("folder", root=annotated, overrides=[f"data.tags={tags}", "data.held_out=0"])
        assert len(data.records("train")) == count
        job = ["data=folder", f"data.root={annotated}", f"data.tags={tags}", "result=predictions"]
        assert pipeline.plan([*job, "backbone.weights=null"]).stages
    checked = CliRunner().invoke(app, ["data", "check", "folder", "--root", str(annotated), "data.tags=folders"])
    assert checked.exit_code == 0 and "notes: 4" in checked.stdout, checked.stdout
    assert any("images is in no folder of a class, 'b'." in about for about in data.reader.warnings(["all"]))


def test_what_is_missing_is_named_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tags\.csv does not exist: .* data\.tags=FILE\.json .* data\.tags=folders"):
        FolderDataModule(root=tmp_path)
    with pytest.raises(InputError, match=r"There is no folder .*images: put a folder for each class there"):
        FolderDataModule(root=tmp_path, tags="folders")
    (tmp_path / "images").mkdir()
    with pytest.raises(InputError, match=r"images has no images in folders of their classes: put them into .*CLASS"):
        FolderDataModule(root=tmp_path, tags="folders")
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(InputError, match=r"a\.json has no list images"):
        FolderDataModule(root=tmp_path, tags="a.json")
