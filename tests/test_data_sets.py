"""Every data set from its publisher's layout to batches, through the command line: prepare, check, open, load."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fake_data import write_coco, write_imagenet, write_web, write_yto
from fake_sbd import write_voc_and_sbd
from PIL import Image
from typer.testing import CliRunner

from wsss_lightning import pipeline
from wsss_lightning.cli import app
from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.pipeline.configuration import plain_dict
from wsss_lightning.pipeline.objects import open_data
from wsss_lightning.pipeline.readings import reading_of

WRITE: dict[str, Callable[[Path], None]] = {
    "voc": write_voc_and_sbd,
    "coco": write_coco,
    "yto": write_yto,
    "imagenet": write_imagenet,
    "web": write_web,
}
NAMES = "cat,dog,tvmonitor"
OPTIONS = {"web": ["--source", "{root}/delivered", "--names", NAMES], "imagenet": ["--held-out", "0.3"]}
PLACE = {"voc": "VOCdevkit/VOC2012"}  # of what is read, below what is prepared
OVERRIDES = {"web": [f"+data.names=[{NAMES}]"]}


def _run(*arguments: object) -> str:
    done = CliRunner().invoke(app, [*map(str, arguments), "--processes", "1"])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("name", WRITE)
def test_what_is_delivered_becomes_batches(name: str, tmp_path: Path) -> None:
    WRITE[name](tmp_path / "delivered" if name == "web" else tmp_path)
    options = [option.format(root=tmp_path) for option in OPTIONS.get(name, [])]
    overrides = [*OVERRIDES.get(name, []), "data.size=[32,40]", "data.batch_size=2"]
    for _ in range(2):  # the second call finds everything done
        _run("data", "prepare", name, "--root", tmp_path, *options)
    place = tmp_path / PLACE.get(name, "")
    assert "errors: 0" in _run("data", "check", name, "--root", place, *overrides)
    data = open_data(name, root=place, overrides=overrides)
    batch = next(iter(data.train_dataloader()))
    assert batch.keys() == {"image", "tags", "image_id", "size", "share"}
    assert batch["image"].shape == (2, 3, 32, 40) and batch["image"].dtype == torch.float32
    assert batch["tags"].shape == (2, data.num_classes) and batch["tags"].dtype == torch.bool
    assert batch["size"].dtype == torch.int64 and len(batch["image_id"]) == 2
    _assert_keys_hold_what_is_read(name, data, overrides)


def _assert_keys_hold_what_is_read(name: str, data: SegmentationDataModule, overrides: list[str]) -> None:
    """Every image and mask of train and val, no other file but the lists and tags."""
    node = plain_dict(pipeline.compose([f"data={name}", *overrides]).data, resolve=True)
    reading = reading_of(node, root=data.root, asked=frozenset())
    assert reading is not None and reading.root == data.root
    named = [next((p for name in names if (p := data.root / name).is_file()), None) for names, _ in reading.files()]
    records = [record for split in ("train", "val") for record in data.records(split)]
    opened = {path for record in records for path in (record.image, record.mask) if path and path.is_file()}
    assert {path for path in named if path and path.suffix != ".xml"} == opened
    assert any((data.root / name).is_file() for name in reading.index)


def test_images_without_a_tag_are_named_only_where_all_should_have_one(tmp_path: Path) -> None:
    write_imagenet(tmp_path / "imagenet")
    _run("data", "prepare", "imagenet", "--root", tmp_path / "imagenet", "--held-out", "0.3")
    assert "notes: 0" in _run("data", "check", "imagenet", "--root", tmp_path / "imagenet")
    (tmp_path / "own" / "images").mkdir(parents=True)
    for name in "ab":
        Image.new("RGB", (40, 32)).save(tmp_path / "own" / "images" / f"{name}.png")
    (tmp_path / "own" / "tags.csv").write_text("image,tags\na.png,cat\nb.png,\n")
    assert "image without tag" in _run("data", "check", "folder", "--root", tmp_path / "own")
