from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_web import NAMES, write_web

from wsss_lightning.data.prepare.web import prepare_web
from wsss_lightning.data.voc import VOC_CLASSES
from wsss_lightning.data.web import WebDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.objects import open_data

COUNT = sum(map(len, NAMES.values()))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web")
    write_web(folder / "crawl")
    prepare_web(
        folder / "crawl", folder / "web", names=VOC_CLASSES, long_side=500, within=40, processes=1, progress=False
    )
    return folder / "web"


def test_every_image_has_the_tag_of_its_folder(root: Path) -> None:
    data = WebDataModule(root=root)
    assert data.class_names == VOC_CLASSES
    records = data.records("train")
    assert len(records) == COUNT
    for record in records:
        (index,) = np.flatnonzero(record.tags)
        assert record.image == root / "JPEGImages" / f"{record.image_id}.jpg"
        assert record.image_id.startswith(f"{VOC_CLASSES[index]}_")


def test_batches_have_no_masks(root: Path) -> None:
    data = WebDataModule(root=str(root), size=(16, 24), batch_size=4)
    batches = list(data.val_dataloader())
    assert sum(len(batch["image_id"]) for batch in batches) == COUNT
    assert batches[0]["image"].shape == (4, 3, 16, 24) and "mask" not in batches[0]
    with pytest.raises(InputError, match=r"the mask of .* does not exist"):
        data.dataset("train", with_masks=True)


def test_the_configuration_opens_it(root: Path) -> None:
    data = open_data("web", root=root, overrides=["data.classes=[dog,cat]"])
    assert isinstance(data, WebDataModule)
    assert data.class_names == ("dog", "cat")
    tags = np.sum([record.tags for record in data.records("val")], axis=0)
    assert tags.tolist() == [len(NAMES["dog"]), len(NAMES["cat"])]


def test_a_list_of_some_images(root: Path) -> None:
    some = [record.image_id for record in WebDataModule(root=root).records("train")[2:5]]
    (root / "some.txt").write_text("\n".join(some))
    assert [record.image_id for record in WebDataModule(root=root, train_list="some").records("train")] == some


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("b.jpg,", r"tags\.csv, line 3: b\.jpg has 0 tags, not one: open it with data=folder"),
        ("b.jpg,cat;dog", "line 3: b.jpg has 2 tags"),
        ("b.jpg,couch", "line 3: 'couch' is none of aeroplane, "),
    ],
)
def test_another_number_of_tags_is_refused(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "tags.csv").write_text(f"image,tags,source\na.jpg,cat,cat/a.gif\n{line},x\n")
    with pytest.raises(InputError, match=message):
        WebDataModule(root=tmp_path)


def test_without_its_tags_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tags\.csv does not exist"):
        WebDataModule(root=tmp_path)
