"""The paper without Hydra and store: plain Lightning gives the bits of the stages."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from fake_hypercolumns import SHIPPED, localized, scenes, stored
from torch import Tensor

from wsss_lightning import load
from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.methods.points.classifier import PointClassifierModule
from wsss_lightning.methods.points.localizer_module import LocalizerModule
from wsss_lightning.methods.points.samplers import Diverse
from wsss_lightning.methods.points.scores import shift_scores
from wsss_lightning.methods.points.stages.features import FeatureStore
from wsss_lightning.methods.points.stages.fit_classifier import LOGS, fit_classifier
from wsss_lightning.methods.points.stages.localize import localize
from wsss_lightning.methods.points.stages.localizer_data import LocalizerData
from wsss_lightning.methods.points.stages.point_data import PointBank, PointData
from wsss_lightning.methods.points.stages.sample import sample
from wsss_lightning.metrics.segmentation import confusion_matrix, mean_iou
from wsss_lightning.nn.hypercolumns import Standardisation
from wsss_lightning.nn.vgg import tiny

Trainer = partial(pl.Trainer, accelerator="cpu", devices=1, logger=False, enable_progress_bar=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("points")


@pytest.fixture(scope="module")
def data(folder: Path) -> SegmentationDataModule:
    return scenes(folder / "scenes")


@pytest.fixture(scope="module")
def features(folder: Path, data: SegmentationDataModule) -> str:
    return stored(folder / "features", data)


@pytest.fixture(scope="module")
def localizers(folder: Path, data: SegmentationDataModule, features: str) -> Path:
    localized(folder / "localizers", data, features)
    return folder / "localizers"


@pytest.fixture(scope="module")
def points(folder: Path, data: SegmentationDataModule, features: str, localizers: Path) -> Path:
    run: dict[str, Any] = {"data": data, "features": features, "progress": False}
    scores = str(folder / "scores")
    localize(
        **run, out_dir=scores, localizers=str(localizers), split="train", tagged_only=True, trainer=Trainer, workers=0
    )
    own: dict[str, Any] = {"sampler": Diverse(k=5), "convention": shift_scores, "half": True, "seed": 0, "workers": 1}
    sample(**run, out_dir=str(folder / "points"), scores=scores, **own)
    return folder / "points"


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def test_localizers(folder: Path, data: SegmentationDataModule, features: str, localizers: Path) -> None:
    store = FeatureStore(Path(features))
    images = LocalizerData(data=data, features=features, epochs=[1, 1], seed=0)
    model = LocalizerModule(
        class_names=data.class_names,
        backbone=tiny(str(SHIPPED), 20),
        grid=store.grid(),
        statistics=Standardisation(*store.statistics()),
        hidden=8,
        rates=[1e-3, 1e-4],
        steps=images.phase_steps,
    )
    trainer = Trainer(max_epochs=1, default_root_dir=folder / "lightning")
    trainer.fit(model, datamodule=images)
    assert 0 <= trainer.callback_metrics["val/tag_ap"] <= 1
    assert same(model.state_dict(), load(localizers).state_dict())
    (result,) = Trainer().test(model, datamodule=data, verbose=False)
    assert 0 <= result["test/miou"] <= 1
    (batch,) = Trainer().predict(model, datamodule=data) or []
    assert [each.image_id for each in batch] == [record.image_id for record in data.records("val")]
    assert batch[0].stored["scores"].shape == (3, 2, 24, 24)


def test_the_classifier(folder: Path, data: SegmentationDataModule, features: str, points: Path) -> None:
    store = FeatureStore(Path(features))
    bank = PointBank.read([points], global_features=True)
    model = PointClassifierModule(
        class_names=data.class_names,
        backbone=tiny(str(SHIPPED), 20),
        grid=store.grid(),
        statistics=Standardisation(*store.statistics()),
        hidden=16,
        rate=1e-3,
    )
    trainer = Trainer(max_epochs=1, default_root_dir=folder / "lightning")
    trainer.fit(model, datamodule=PointData(bank, batch_size=20, steps=30))
    trainer.save_checkpoint(folder / "classifier.ckpt")
    metrics = fit_classifier(
        out_dir=str(folder / "classifier"),
        data=data,
        features=features,
        points=[str(points)],
        hidden=16,
        rate=1e-3,
        steps=30,
        epochs=1,
        batch_size=20,
        standardise=True,
        global_features=True,
        seed=0,
        trainer=Trainer,
        loggers={},
        workers=0,
        checkpoint_every=100,
        progress=False,
    )
    assert metrics.keys() == LOGS.keys()
    assert {path.name for path in (folder / "classifier").iterdir()} == {"model.json", "model.safetensors"}
    whole = load(folder / "classifier")
    again = PointClassifierModule.load_from_checkpoint(folder / "classifier.ckpt", map_location="cpu")
    assert same(model.state_dict(), whole.state_dict()) and same(model.state_dict(), again.state_dict())
    (result,) = Trainer().test(whole, datamodule=data, verbose=False)
    (batch,) = Trainer().predict(again, datamodule=data) or []
    truth = [torch.from_numpy(data.read_target(record)).long() for record in data.records("val")]
    pairs = zip([each.labels for each in batch], truth, strict=True)
    assert result["test/miou"] == pytest.approx(mean_iou(sum(confusion_matrix(*pair, 4) for pair in pairs)))
    picture = data.dataset("val")[0]["image"]
    assert whole(picture[None]).shape == (1, 4, 96, 96)
    assert not any(parameter.requires_grad for parameter in model.backbone.parameters())


def test_pictures_and_tags_are_enough_for_localizers(data: SegmentationDataModule) -> None:
    """No store: all classes learn from every image."""
    model = LocalizerModule(
        class_names=data.class_names,
        backbone=tiny(str(SHIPPED), 20),
        grid=(24, 24),
        hidden=4,
        rates=[1e-3],
        steps=[4],
    )
    trainer = Trainer(max_epochs=1, enable_checkpointing=False)
    trainer.fit(model, datamodule=data)
    assert trainer.global_step == 4 and "val/tag_ap" in trainer.callback_metrics


def test_accumulated_points_are_one_larger_batch(data: SegmentationDataModule, points: Path) -> None:
    bank, weights = PointBank.read([points], global_features=True), []
    for accumulated in (1, 2):
        model = PointClassifierModule(
            class_names=data.class_names, backbone=tiny(str(SHIPPED), 20), grid=(24, 24), hidden=4, rate=1e-3
        )
        trainer = Trainer(max_epochs=1, accumulate_grad_batches=accumulated, enable_checkpointing=False)
        trainer.fit(model, datamodule=PointData(bank, batch_size=20 // accumulated, steps=5))
        weights.append(model.classifier.local.weight.detach())
    torch.testing.assert_close(*weights, rtol=0, atol=1e-6)
