from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_coseg import TRAINER, train
from fake_segmenter import open_voc, write_weak_masks

from wsss_lightning import models
from wsss_lightning.data.images import read_image
from wsss_lightning.data.masks import read_mask
from wsss_lightning.data.samples import Normalisation, resize_image
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.methods.coseg.stages.predict_scales import predict_scales
from wsss_lightning.ops.crf import dense_crf, unary_from_probabilities
from wsss_lightning.stages.predict import read_probabilities
from wsss_lightning.stages.refine import refine

SCALES = [0.7, 1.0, 1.3]
CRF = partial(
    dense_crf,
    spatial_weight=3.0,
    spatial_sigma=2.0,
    bilateral_weight=4.0,
    bilateral_sigma=55.0,
    color_sigma=3.0,
    iterations=3,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VOC folder with images of odd size and a trained network."""
    folder = tmp_path_factory.mktemp("coseg")
    data = open_voc(folder / "voc")
    train(folder / "trained", data, write_weak_masks(folder / "masks", data))
    return folder


def open_data(root: Path) -> VOCDataModule:
    return open_voc(root / "voc")


def predict(root: Path, out_dir: Path, **settings: Any) -> Path:
    defaults: dict[str, Any] = {
        "data": open_data(root),
        "model": str(root / "trained"),
        "split": "val",
        "scales": SCALES,
        "tagged": False,
        "keep": True,
        "trainer": TRAINER,
        "workers": 0,
        "progress": False,
    }
    predict_scales(out_dir=str(out_dir), **{**defaults, **settings})
    return out_dir


def test_maps_are_the_networks_at_each_scale_and_masks_the_best_of_their_mean(root: Path, tmp_path: Path) -> None:
    data, out = open_data(root), predict(root, tmp_path)
    network = models.load(root / "trained").network
    normalise = Normalisation(data.mean, data.std)
    for record in data.records("val"):
        image = read_image(record.image)
        total = torch.zeros(21, *image.shape[:2])
        for size in ((16, 24), (24, 32), (32, 40)):  # 24 x 32 px at .7, 1 and 1.3, in whole cells
            with torch.inference_mode():
                probs = network(normalise(resize_image(image, size))[None]).pixels.softmax(dim=1)
                total += torch.nn.functional.interpolate(probs, image.shape[:2], mode="bilinear")[0]
        probs = read_probabilities(out, record.image_id, image.shape[:2])
        torch.testing.assert_close(probs, total / 3, atol=1e-3, rtol=0)
        mask = data.encode(read_mask(out / "masks" / f"{record.image_id}.png"), Path())
        assert np.array_equal(mask, probs.argmax(dim=0).numpy())


def test_with_tags_nothing_else_is_predicted(root: Path, tmp_path: Path) -> None:
    free, tagged = (
        predict(root, tmp_path / "a", split="train"),
        predict(root, tmp_path / "b", split="train", tagged=True),
    )
    for record in open_data(root).records("train"):
        masks = [read_mask(folder / "masks" / f"{record.image_id}.png") for folder in (free, tagged)]
        possible = {0, *(np.flatnonzero(record.tags) + 1).tolist()}
        assert set(np.unique(masks[1]).tolist()) <= possible
        same = np.isin(masks[0], list(possible))
        assert np.array_equal(masks[0][same], masks[1][same])


def test_what_is_there_is_not_made_again_and_maps_only_where_they_are_asked_for(root: Path, tmp_path: Path) -> None:
    out = predict(root, tmp_path, keep=False, scales=[1.0])
    first, *_ = masks = sorted((out / "masks").iterdir())
    assert not (out / "scores").exists()
    before = first.read_bytes()
    first.unlink()
    times = [path.stat().st_mtime_ns for path in masks[1:]]
    predict(root, tmp_path, keep=False, scales=[1.0])
    assert first.read_bytes() == before
    assert [path.stat().st_mtime_ns for path in masks[1:]] == times


def test_refined_masks_are_those_of_the_crf(root: Path, tmp_path: Path) -> None:
    data, out = open_data(root), predict(root, tmp_path / "predicted")
    refine(
        out_dir=str(tmp_path / "refined"),
        data=data,
        predictions=str(out),
        split="val",
        unary=unary_from_probabilities,
        crf=CRF,
        workers=1,
        progress=False,
    )
    for record in data.records("val"):
        image = read_image(record.image)
        probs = read_probabilities(out, record.image_id, image.shape[:2]).numpy()
        expected = CRF(image, unary_from_probabilities(probs)).argmax(axis=0)
        mask = read_mask(tmp_path / "refined" / "masks" / f"{record.image_id}.png")
        assert np.array_equal(data.encode(mask, Path()), expected)


def test_other_classes_than_the_models_are_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="was trained with class_names="):
        predict(root, tmp_path, data=open_voc(root / "voc", classes=["bird", "aeroplane"]))


def test_another_methods_model_is_refused(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "wsss_lightning.methods.coseg.stages.predict_scales.load_fitting", lambda *_: torch.nn.Linear(1, 1)
    )
    with pytest.raises(InputError, match="holds a Linear: name the folder of a fit_on_masks stage"):
        predict(root, tmp_path)
