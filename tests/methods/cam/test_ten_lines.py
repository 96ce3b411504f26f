"""The plain method's networks without Hydra: Lightning's own trainer gives what the stages give, to the bit."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from fake_segmenter import backbone, open_voc, write_weak_masks
from torch import nn

import wsss_lightning
from wsss_lightning.data.masks import read_mask
from wsss_lightning.data.transforms import crop_augmentation
from wsss_lightning.data.voc import VOC_CLASSES, VOCDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.methods.cam.stages.activate_classes import activate_classes
from wsss_lightning.methods.cam.stages.fit_student import LOGS as LOGS_OF_STUDENT
from wsss_lightning.methods.cam.stages.fit_student import fit_student
from wsss_lightning.methods.cam.stages.judge_activations import judge_activations
from wsss_lightning.methods.cam.student import Student
from wsss_lightning.nn.trunk import Variant
from wsss_lightning.scoring.cams import read_cam_maps, write_cam_file
from wsss_lightning.scoring.folder import score_folder
from wsss_lightning.stages.fit_tag_classifier import LOGS as LOGS_OF_TAGS
from wsss_lightning.stages.fit_tag_classifier import fit_tag_classifier
from wsss_lightning.stages.keep_tagged import keep_tagged
from wsss_lightning.stages.predict import predict
from wsss_lightning.stages.store_maps import store_maps
from wsss_lightning.stages.stored_steps import stored_averages, stored_images
from wsss_lightning.stages.tag_classifier import TagClassifier
from wsss_lightning.stages.true_masks import true_masks

PLAIN: dict[str, Any] = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
}
STAGE: dict[str, Any] = {"trainer": partial(pl.Trainer, **{**PLAIN, "enable_checkpointing": True}), "progress": False}
FIT: dict[str, Any] = {**STAGE, "loggers": {}, "workers": 0, "checkpoint_every": 2}
MODEL: dict[str, Any] = {"stride": 8, "trunk": "frozen", "seed": 3}


@pytest.fixture
def data(tmp_path: Path) -> VOCDataModule:
    """Images, and their maps in `train` and `val`."""
    data = open_voc(tmp_path / "voc")
    for split in ("train", "val"):
        layers = {"shallow": [1.0], "deep": [0.5, 1.0]}
        own = {"split": split, "stride": 8, "layers": layers, "mirror": True, "workers": 0}
        store_maps(out_dir=str(tmp_path / split), data=data, backbone=backbone(), **own, **STAGE)  # type: ignore[arg-type]
    return data


def same(one: nn.Module, other: nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_the_classifier_and_its_activation_maps(tmp_path: Path, data: VOCDataModule) -> None:
    maps, val_maps = str(tmp_path / "train"), str(tmp_path / "val")
    setting = {**MODEL, "scales": (0.5, 1.0), "mirror": True, "rate": 1e-2}
    model = TagClassifier(backbone=backbone(), class_names=VOC_CLASSES, **setting)
    source = stored_averages(data, maps, val_maps, mirror=True, batch_size=2, epochs=4, seed=3)
    trainer = pl.Trainer(max_epochs=1, use_distributed_sampler=False, **PLAIN)
    trainer.fit(model, datamodule=source)
    trainer.save_checkpoint(tmp_path / "model.ckpt")

    own = {"backbone": backbone(), "maps": maps, "val_maps": val_maps, "batch_size": 2, "epochs": 4}
    metrics = fit_tag_classifier(out_dir=str(tmp_path / "stage"), data=data, **own, **setting, **FIT)
    assert metrics["val/tag_ap"] == float(trainer.callback_metrics["val/tag_ap"])
    assert metrics.keys() == LOGS_OF_TAGS.keys()
    assert same(wsss_lightning.load(tmp_path / "stage"), model)
    assert same(TagClassifier.load_from_checkpoint(tmp_path / "model.ckpt"), model)

    run = {"classifier": str(tmp_path / "stage"), "split": "val", "workers": 0, **STAGE}
    for name, stored in (("stored", val_maps), ("images", None)):
        activate_classes(out_dir=str(tmp_path / name), data=data, maps=stored, **run)  # type: ignore[arg-type]
    activations = [each for batch in trainer.predict(model, data.predict_dataloader()) or [] for each in batch]
    for record, activation in zip(data.records("val"), activations, strict=True):
        for name, tolerance in (("images", 1e-3), ("stored", 5e-3)):
            path = tmp_path / name / "cams" / f"{record.image_id}.npy"
            labels, read = read_cam_maps(path, labels=data.labels, size=(24, 32))
            assert labels.tolist() == (activation.classes + 1).tolist() == (np.flatnonzero(record.tags) + 1).tolist()
            np.testing.assert_allclose(read, activation.maps.numpy(), atol=tolerance)


def test_maps_are_tested_with_known_tags_as_the_command_line_scores_them(tmp_path: Path) -> None:
    data, threshold = open_voc(tmp_path / "voc"), 0.3
    model = TagClassifier(backbone=backbone(), class_names=VOC_CLASSES, threshold=threshold, scales=(1.0,), **MODEL)
    with torch.no_grad():  # maps that differ from cell to cell, as those of a trained layer do
        images = torch.stack([data.dataset("val")[index]["image"] for index in range(2)])
        mean = model.trunk.look(images, Variant())[1].mean(dim=(0, 2, 3))
        model.linear.weight -= torch.outer(model.linear.weight @ mean, mean) / (mean @ mean)
    trainer = pl.Trainer(**PLAIN)
    (figures,) = trainer.test(model, data.test_dataloader(), verbose=False)
    for batch in trainer.predict(model, data.predict_dataloader()) or []:
        for activation in batch:
            path = tmp_path / "cams" / f"{activation.image_id}.npy"
            write_cam_file(path, classes=activation.classes.numpy(), maps=activation.maps.numpy())
    scored = score_folder(
        folder=tmp_path / "cams", data=data, split="val", threshold=threshold, partial_ok=False, processes=1
    )
    assert figures == {"test/miou": pytest.approx(scored.summary["miou"], abs=5e-3)}  # files are in half precision
    assert figures["test/miou"] > 0.02 and 0.1 < float(scored.confusion[:, 0].sum() / scored.confusion.sum()) < 0.9


def test_activation_maps_are_judged_as_the_command_line_does(tmp_path: Path, data: VOCDataModule) -> None:
    own = {"backbone": backbone(), "maps": str(tmp_path / "train"), "val_maps": None, "batch_size": 2, "epochs": 1}
    setting = {**MODEL, "scales": (1.0,), "mirror": False, "rate": 1e-2}
    fit_tag_classifier(out_dir=str(tmp_path / "stage"), data=data, **own, **setting, **FIT)
    where = {"classifier": str(tmp_path / "stage"), "maps": str(tmp_path / "val"), "split": "val", "workers": 0}
    activate_classes(out_dir=str(tmp_path / "cams"), data=data, **where, **STAGE)  # type: ignore[arg-type]
    judge = partial(judge_activations, out_dir=str(tmp_path), data=data, cams=str(tmp_path / "cams"), split="val")
    figures = judge(threshold=0.15, workers=1, progress=False)
    score = partial(
        score_folder, folder=tmp_path / "cams" / "cams", data=data, split="val", partial_ok=False, processes=1
    )
    assert figures["val/miou"] == score(threshold=0.15).summary["miou"]
    best = score(threshold=None)
    assert (figures["val/best_miou"], figures["val/best_threshold"]) == (best.summary["miou"], best.threshold)
    with pytest.raises(InputError, match=r"the threshold 0\.155 is not one of"):
        judge(threshold=0.155, workers=1, progress=False)


def test_the_student(tmp_path: Path, data: VOCDataModule) -> None:
    maps, val_maps, masks = str(tmp_path / "train"), str(tmp_path / "val"), write_weak_masks(tmp_path / "masks", data)
    setting = {**MODEL, "hidden": 8, "dilation": 2, "rate": 1e-3}
    model = Student(backbone=backbone(), class_names=VOC_CLASSES, **setting)
    source = stored_images(data, maps, val_maps, masks, model.trunk, mirror=True, batch_size=2, steps=5, seed=3)
    trainer = pl.Trainer(max_epochs=1, use_distributed_sampler=False, **PLAIN)
    trainer.fit(model, datamodule=source)
    trainer.save_checkpoint(tmp_path / "model.ckpt")

    own = {"backbone": backbone(), "maps": maps, "val_maps": val_maps, "masks": masks, "batch_size": 2, "steps": 5}
    metrics = fit_student(out_dir=str(tmp_path / "stage"), data=data, mirror=True, **own, **setting, **FIT)
    assert metrics["val/tag_ap"] == float(trainer.callback_metrics["val/tag_ap"])
    assert metrics.keys() == LOGS_OF_STUDENT.keys()
    assert same(wsss_lightning.load(tmp_path / "stage"), model)
    assert same(Student.load_from_checkpoint(tmp_path / "model.ckpt"), model)

    (figures,) = trainer.test(model, data.test_dataloader(), verbose=False)
    predict(out_dir=str(tmp_path / "out"), data=data, model=str(tmp_path / "stage"), split="val", workers=0, **STAGE)
    scored = score_folder(
        folder=tmp_path / "out" / "masks", data=data, split="val", threshold=None, partial_ok=False, processes=1
    )
    assert figures["test/miou"] == pytest.approx(scored.summary["miou"])
    where = {"predictions": str(tmp_path / "out"), "split": "val", "progress": False}
    keep_tagged(out_dir=str(tmp_path / "tagged"), data=data, **where)  # type: ignore[arg-type]
    for record in data.records("val"):
        mask = read_mask(tmp_path / "tagged" / "masks" / f"{record.image_id}.png")
        assert set(np.unique(mask)) <= {0, *(np.flatnonzero(record.tags) + 1)}


def test_a_trunk_that_learns_takes_images_in_the_place_of_maps(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc")
    masks = write_weak_masks(tmp_path / "masks", data)
    augmentation = crop_augmentation((32, 32))
    common = {"backbone": backbone(), "maps": None, "val_maps": None, "batch_size": 2, "augmentation": augmentation}
    learning = {"stride": 8, "trunk": "last", "seed": 3, "rate": 1e-3, "new_layers": 10.0, "mirror": False}
    before = backbone().convolutions
    fit_tag_classifier(
        out_dir=str(tmp_path / "classifier"), data=data, epochs=2, scales=(1.0,), **common, **learning, **FIT
    )
    sizes = {"hidden": 8, "dilation": 2, "steps": 3, "masks": masks}
    common |= {"backbone": backbone()}
    fit_student(out_dir=str(tmp_path / "student"), data=data, **sizes, **common, **learning, **FIT)
    for name in ("classifier", "student"):
        after = wsss_lightning.load(tmp_path / name).trunk.backbone.convolutions  # type: ignore[union-attr]
        assert torch.equal(before[9].weight, after[9].weight), "block 4 stays"  # type: ignore[index]
        assert not torch.equal(before[12].weight, after[12].weight), "block 5 learns"  # type: ignore[index]


def test_true_masks_are_those_of_the_training_images(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc", classes=["bicycle", "bird"])
    true_masks(out_dir=str(tmp_path), data=data)
    for record in data.records("train"):
        written = data.encode(read_mask(tmp_path / "masks" / f"{record.image_id}.png"), Path("mask"))
        assert np.array_equal(written, data.read_target(record))
