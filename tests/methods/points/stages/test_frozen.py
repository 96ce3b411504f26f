"""Points on stored maps of a frozen trunk: the stages one after the other, on a tiny VOC folder."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from fake_hypercolumns import localized
from fake_segmenter import backbone, open_voc

import wsss_lightning
from wsss_lightning.data.masks import read_mask
from wsss_lightning.data.voc import VOC_CLASSES, VOCDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.methods.points.samplers import Diverse
from wsss_lightning.methods.points.scores import strong_scores
from wsss_lightning.methods.points.stages.activation_scores import activation_scores
from wsss_lightning.methods.points.stages.describe_maps import describe_maps
from wsss_lightning.methods.points.stages.features import MapFeatures, open_maps
from wsss_lightning.methods.points.stages.fine_tune import fine_tune
from wsss_lightning.methods.points.stages.fit_classifier import fit_classifier
from wsss_lightning.methods.points.stages.judge import judge
from wsss_lightning.methods.points.stages.localize import localize, read_scores
from wsss_lightning.methods.points.stages.predict_from_features import predict_from_features
from wsss_lightning.methods.points.stages.sample import sample
from wsss_lightning.nn.bilinear import Bilinear
from wsss_lightning.stages.fit_tag_classifier import fit_tag_classifier
from wsss_lightning.stages.store_maps import store_maps

TRAINER = partial(pl.Trainer, accelerator="cpu", logger=False, enable_progress_bar=False)
INFER: dict[str, Any] = {"trainer": TRAINER, "workers": 0, "progress": False}
FIT: dict[str, Any] = {**INFER, "loggers": {}, "checkpoint_every": 50, "seed": 0}
GRID = (12, 16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("frozen")


@pytest.fixture(scope="module")
def data(folder: Path) -> VOCDataModule:
    return open_voc(folder / "voc", size=None, batch_size=1, classes=VOC_CLASSES[:5])


@pytest.fixture(scope="module")
def features(folder: Path, data: VOCDataModule) -> MapFeatures:
    layers = {"shallow": [1.0], "deep": [1.0, 1.5]}
    for split in ("train", "val"):
        own: dict[str, Any] = {"split": split, "stride": 8, "layers": layers, "mirror": True}
        store_maps(out_dir=str(folder / split), data=data, backbone=backbone(), **own, **INFER)
    described, train = str(folder / "described"), str(folder / "train")
    own = {"maps": train, "stride": 8, "grid": GRID, "global_features": True, "workers": 1, "progress": False}
    describe_maps(out_dir=described, data=data, backbone=backbone(), **own)
    return open_maps(folder=described, train=train, val=str(folder / "val"))


@pytest.fixture(scope="module")
def scores(folder: Path, data: VOCDataModule, features: MapFeatures) -> Path:
    maps: dict[str, Any] = {"maps": str(folder / "train"), "val_maps": None}
    looks: dict[str, Any] = {"stride": 8, "trunk": "frozen", "scales": [1.0, 1.5], "mirror": True}
    own: dict[str, Any] = {"batch_size": 4, "epochs": 2, "rate": 1e-2}
    tags = folder / "tags"
    fit_tag_classifier(out_dir=str(tags), data=data, backbone=backbone(), **maps, **looks, **own, **FIT)
    where: dict[str, Any] = {"tag_classifier": str(tags), "maps": str(folder / "train"), "split": "train"}
    own = {"tagged_only": True, "workers": 1, "progress": False}
    activation_scores(out_dir=str(folder / "scores"), data=data, features=features, **where, **own)
    return folder / "scores"


def test_statistics_are_those_of_the_enlarged_maps(data: VOCDataModule, features: MapFeatures) -> None:
    columns, pooled = [], []
    for record in data.records("train"):
        read = features.read("train", record.image_id)
        way = Bilinear((read.maps[0].shape[2], read.maps[0].shape[3]), GRID, corners=read.corners)
        columns.append(way.enlarge(read.maps[0][0]).flatten(1).double())
        pooled.append(read.pooled.double())
    every, (mean, std) = torch.cat(columns, dim=1), features.statistics()
    torch.testing.assert_close(mean, every.mean(dim=1), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(std, every.std(dim=1, correction=0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(features.global_statistics()[0], torch.cat(pooled).mean(dim=0))


def test_activation_scores_are_the_classifiers_rows_at_every_cell(
    folder: Path, data: VOCDataModule, features: MapFeatures, scores: Path
) -> None:
    """Summed over the grid they are, but for borders, the logits without bias: rows times averages, four variants."""
    model: Any = wsss_lightning.load(folder / "tags")
    record = data.records("train")[0]
    maps, present = read_scores(scores, record.image_id)
    assert maps.shape == (int(record.tags.sum()), 2, *GRID) and not maps[:, 1].any()
    pooled = features.maps["train"].read(record.image_id, [f"{each.name}/pooled" for each in model.variants])
    expected = model.linear.weight[present - 1] @ torch.stack([*pooled.values()]).sum(dim=0)
    torch.testing.assert_close(maps[:, 0].mean(dim=(1, 2)), expected, rtol=0.1, atol=0.05)


def test_a_model_on_stored_maps_labels_images_alike(
    folder: Path, data: VOCDataModule, features: MapFeatures, scores: Path
) -> None:
    convention = partial(strong_scores, share=0.2)
    own: dict[str, Any] = {"half": True, "seed": 0, "workers": 1, "progress": False}
    points, classifier = str(folder / "points"), str(folder / "classifier")
    made = sample(
        out_dir=points,
        data=data,
        features=features,
        scores=str(scores),
        sampler=Diverse(k=4, positive=True),
        convention=convention,
        **own,
    )
    judged = judge(out_dir=points, data=data, features=features, points=points, progress=False)
    assert made["points"] > made["background"] > 0 and 0 <= judged["train/points/right"] <= 1
    own = {"hidden": 8, "rate": 1e-2, "steps": 20, "epochs": 1, "batch_size": 16, "standardise": True}
    fit_classifier(
        out_dir=classifier,
        data=data,
        features=features,
        points=[points],
        global_features=True,
        standardise_global=True,
        **own,
        **FIT,
    )
    model: Any = wsss_lightning.load(classifier)
    statistics = model.classifier.global_statistics
    torch.testing.assert_close(statistics.mean, features.global_statistics()[0].float())
    found = str(folder / "found")
    predict_from_features(out_dir=found, data=data, features=features, model=classifier, split="val", **INFER)
    for sample_of, record in zip(data.dataset("val"), data.records("val"), strict=True):
        mask = read_mask(folder / "found" / "masks" / f"{record.image_id}.png")
        with torch.inference_mode():
            labels = model(sample_of["image"][None])[0].argmax(dim=0)
        assert (data.decode(labels.numpy().astype(mask.dtype)) == mask).mean() > 0.97  # stored in half precision


def test_localizers_score_stored_maps(folder: Path, data: VOCDataModule, features: MapFeatures) -> None:
    localized(folder / "localizers", data, features)
    own: dict[str, Any] = {"split": "val", "tagged_only": False, **INFER}
    localize(
        out_dir=str(folder / "val_scores"), data=data, features=features, localizers=str(folder / "localizers"), **own
    )
    record = data.records("val")[0]
    maps, present = read_scores(folder / "val_scores", record.image_id)
    model: Any = wsss_lightning.load(folder / "localizers")
    rows = features.read("val", record.image_id)
    expected = model.localizers(rows, range(data.num_classes), GRID)[0]
    torch.testing.assert_close(maps, expected)
    assert present.tolist() == list(range(1, data.num_classes + 1))


def test_a_frozen_trunk_is_not_fine_tuned(folder: Path, data: VOCDataModule) -> None:
    own: dict[str, Any] = {"points": "", "classifier": "", "rate": 1e-3, "steps": 1, "images": 2}
    with pytest.raises(InputError, match=r"size=\[H, W\]"):
        fine_tune(out_dir=str(folder / "tuned"), data=data, **own, **FIT)
