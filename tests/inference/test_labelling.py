from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_models import METHODS, NAMES, picture, save_model
from PIL import Image

import wsss_lightning
from wsss_lightning.data.samples import Record, SegmentationDataset, collate
from wsss_lightning.errors import InputError
from wsss_lightning.inference.labelling import Settings
from wsss_lightning.ops.crf import dense_crf


@pytest.mark.parametrize("method", METHODS)
def test_a_picture_is_labelled_as_a_stage_does_it(tmp_path: Path, method: str) -> None:
    model = wsss_lightning.load(save_model(tmp_path / "model", method))
    picture(40, 52).save(tmp_path / "a.png")
    inputs = model.inputs
    record = Record("a", tmp_path / "a.png", None, np.zeros(len(inputs.class_names), bool))
    size = tuple(inputs.size) if isinstance(inputs.size, list) else inputs.size
    images = SegmentationDataset([record], encode=None, size=size, mean=inputs.mean, std=inputs.std)
    with torch.inference_mode():
        (prediction,) = model.predict_step(collate([images[0]]), 0)
    result = model.predict(tmp_path / "a.png")
    assert result.mask.shape == (40, 52) and len(np.unique(result.mask)) > 1
    assert np.array_equal(result.mask, prediction.labels.numpy())
    assert result.probabilities.shape == (len(result.names), 40, 52)
    assert np.allclose(result.probabilities.sum(axis=0), 1, atol=1e-3)
    assert set(np.unique(result.indices)) <= set(inputs.indices)


def test_scales_and_mirror_images_are_averaged_at_the_pictures_size(tmp_path: Path) -> None:
    model, image = wsss_lightning.load(save_model(tmp_path, "cam")), picture(48, 64)
    mirrored = model.predict(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)).probabilities[:, :, ::-1]
    expected = (model.predict(image).probabilities + mirrored) / 2
    flipped = model.predict(image, flip=True)
    assert np.allclose(flipped.probabilities, expected, atol=1e-6)
    assert np.array_equal(flipped.mask, expected.argmax(axis=0))
    both = model.predict(image, scales=[1, 2]).probabilities
    assert np.allclose(both, (model.predict(image).probabilities + model.predict(image, scales=[2]).probabilities) / 2)


def test_tags_rule_out_the_other_classes(tmp_path: Path) -> None:
    model, image = wsss_lightning.load(save_model(tmp_path, "cam")), picture(48, 64)
    free, tagged = model.predict(image), model.predict(image, tags=[NAMES[1]])
    assert set(np.unique(tagged.mask)) <= {0, 2} and not np.array_equal(free.mask, tagged.mask)
    kept = free.probabilities[[0, 2]]
    assert np.allclose(tagged.probabilities[[0, 2]], kept / kept.sum(axis=0), atol=1e-6)
    assert not model.predict(image, tags=[]).mask.any()
    with pytest.raises(InputError, match=r"no class 'cat': it has stripe_egg"):
        model.predict(image, tags=["cat"])


def test_a_field_without_pairs_changes_nothing(tmp_path: Path) -> None:
    model, image = wsss_lightning.load(save_model(tmp_path, "coseg")), picture(48, 64)
    weights = {"spatial_weight": 0, "spatial_sigma": 3, "bilateral_weight": 0, "bilateral_sigma": 50, "color_sigma": 5}
    crf = partial(dense_crf, **weights, iterations=1)
    assert np.allclose(model.predict(image, crf=crf).probabilities, model.predict(image).probabilities, atol=1e-3)


def test_a_large_picture_is_worked_on_small_and_labelled_whole(tmp_path: Path) -> None:
    model, image = wsss_lightning.load(save_model(tmp_path, "cam")), picture(96, 128)
    result = model.predict(image, longest=64)
    assert result.mask.shape == (96, 128) and result.probabilities.shape == (4, 48, 64)
    assert result.pixels.shape == (96, 128, 3)


def test_pictures_of_every_kind_are_the_same_picture(tmp_path: Path) -> None:
    model, image = wsss_lightning.load(save_model(tmp_path / "model", "cam")), picture(48, 64)
    turned, exif = image.transpose(Image.Transpose.ROTATE_90), Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    turned.save(tmp_path / "a.png", exif=exif)
    expected = model.predict(image).mask
    for given in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.open(tmp_path / "a.png"), np.array(image)):
        assert np.array_equal(model.predict(given).mask, expected)
    grey = np.array(image.convert("L"))
    assert model.predict(grey).pixels.shape == (48, 64, 3)
    with pytest.raises(InputError, match="float64"):
        model.predict(np.zeros((4, 4, 3)))


def test_settings_are_checked() -> None:
    for wrong in ({"scales": ()}, {"scales": (0.0,)}, {"longest": 0}):
        with pytest.raises(InputError):
            Settings(**wrong)
