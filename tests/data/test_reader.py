"""The data modules that configurations and notebooks name: what they may be called with."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_data import write_voc

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.coco import COCO_CLASSES, COCODataModule
from wsss_lightning.data.folder import FolderDataModule
from wsss_lightning.data.imagenet import CatDogDataModule
from wsss_lightning.data.reader import Reader
from wsss_lightning.data.samples import IMAGENET_MEAN, IMAGENET_STD
from wsss_lightning.data.voc import VOC_CLASSES, VOCDataModule, VOCReader
from wsss_lightning.data.web import WebDataModule
from wsss_lightning.data.yto import YTO_CLASSES, YTODataModule
from wsss_lightning.pipeline.signatures import signature_of

NEEDED = inspect.Parameter.empty
SHARED: dict[str, Any] = {
    "classes": None,
    "test_list": None,
    "size": None,
    "mean": IMAGENET_MEAN,
    "std": IMAGENET_STD,
    "batch_size": 1,
    "augmentation": None,
    "pseudo_masks": None,
    "missing": "raise",
    "steps": None,
    "predict_split": "val",
    "workers": 0,
    "seed": 0,
}
OWN: dict[type[SegmentationDataModule], dict[str, Any]] = {
    SegmentationDataModule: {"reader": NEEDED, "train_list": None, "val_list": None},
    VOCDataModule: {
        "root": NEEDED,
        "train_list": "train_aug",
        "val_list": "val",
        "names": VOC_CLASSES,
        "tags": "auto",
    },
    COCODataModule: {
        "root": NEEDED,
        "train_list": "train2014",
        "val_list": "val2014",
        "names": COCO_CLASSES,
        "untagged": True,
        "ids": "auto",
    },
    YTODataModule: {"root": NEEDED, "train_list": "train", "val_list": "val", "names": YTO_CLASSES},
    CatDogDataModule: {"root": NEEDED, "train_list": "train", "val_list": "held_out"},
    WebDataModule: {
        "root": NEEDED,
        "train_list": "all",
        "val_list": "all",
        "names": VOC_CLASSES,
        "tags": "tags.csv",
        "masks": None,
    },
    FolderDataModule: {
        "root": NEEDED,
        "train_list": None,
        "val_list": None,
        "names": None,
        "images": "images",
        "tags": "tags.csv",
        "masks": "masks",
        "held_out": 0.0,
    },
}


@pytest.mark.parametrize("module", OWN)
def test_a_data_module_is_called_with_these(module: type[SegmentationDataModule]) -> None:
    parameters = inspect.signature(module).parameters
    assert {name: parameter.default for name, parameter in parameters.items()} == SHARED | OWN[module]
    assert all(parameter.kind is inspect.Parameter.KEYWORD_ONLY for parameter in parameters.values())
    read = signature_of(f"{module.__module__}.{module.__name__}")
    assert read is not None and read.names == parameters.keys()
    assert read.required == {name for name, parameter in parameters.items() if parameter.default is NEEDED}


def test_a_named_module_is_one_of_its_reader(tmp_path: Path) -> None:
    write_voc(tmp_path / "VOCdevkit" / "VOC2012")
    settings: dict[str, Any] = {"classes": ["bird", "aeroplane"], "size": (12, 16), "train_list": "train", "seed": 4}
    named = VOCDataModule(root=str(tmp_path), tags="masks", **settings)
    other = SegmentationDataModule(reader=VOCReader(tmp_path, tags="masks"), **settings)
    assert named.root == other.root == tmp_path / "VOCdevkit" / "VOC2012"
    assert named.lists == other.lists == {"train": "train", "val": "val"}
    assert named.tags_source == other.tags_source == "masks"
    for one, two in zip(named.train_dataloader(), other.train_dataloader(), strict=True):
        assert one["image_id"] == two["image_id"] and torch.equal(one["image"], two["image"])


def test_a_reader_says_how_a_list_is_read() -> None:
    with pytest.raises(TypeError, match="read_records"):
        Reader(Path(), names=["cat"], tags="none")  # type: ignore[abstract]
