from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_patches import MIDDLE, open_patches, write_module
from fake_skies import TRAINER
from PIL import Image

from wsss_lightning.data.images import read_image
from wsss_lightning.data.samples import Normalisation, resize_image
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.methods.patches.network import PatchNetwork
from wsss_lightning.methods.patches.stages.predict_patches import predict_patches
from wsss_lightning.methods.patches.stages.segment_patches import class_probability
from wsss_lightning.ops.resize import resize_maps
from wsss_lightning.stages.predict import read_probabilities


@pytest.fixture
def data(tmp_path: Path) -> VOCDataModule:
    """Two val images, one of them 24 x 32 px, the other 21 x 37 px."""
    opened = open_patches(tmp_path / "voc")
    noise = np.random.default_rng(0).integers(0, 256, (21, 37, 3), np.uint8)
    Image.fromarray(noise).save(opened.records("val")[1].image, quality=95)
    return opened


@pytest.fixture
def network(tmp_path: Path) -> PatchNetwork:
    return write_module(tmp_path / "trained").network


def predict(tmp_path: Path, data: VOCDataModule, **settings: Any) -> Path:
    predict_patches(
        out_dir=str(tmp_path / "out"),
        data=data,
        model=str(tmp_path / "trained"),
        trainer=TRAINER,
        workers=0,
        progress=False,
        **{"split": "val", "side": None, **settings},
    )
    return tmp_path / "out"


@torch.inference_mode()
@pytest.mark.parametrize("index", [0, 1])
def test_probabilities_are_those_of_patches(
    tmp_path: Path, data: VOCDataModule, network: PatchNetwork, index: int
) -> None:
    """In [-1, 1], around some pixels, by the softmax of each patch's two scores."""
    record = data.records("val")[index]
    stored = class_probability(predict(tmp_path, data), record)
    both = read_probabilities(tmp_path / "out", record.image_id, stored.shape)
    assert torch.equal(both[1], torch.from_numpy(stored)) and torch.equal(both[0], 1 - both[1])
    image = read_image(record.image) / 127.5 - 1
    padded = np.pad(image, ((19, 19), (19, 19), (0, 0)), mode="symmetric")
    assert stored.dtype == np.float32 and stored.shape == image.shape[:2] and stored.std() > 1e-3
    for row, column in [(0, 0), (20, 31), (7, 13), (20, 0)]:
        patch = torch.tensor(padded[row : row + 39, column : column + 39]).permute(2, 0, 1).float()
        expected = network(patch[None]).softmax(dim=1)[0, 0]
        assert stored[row, column] == pytest.approx(expected.item(), abs=2e-5)


def test_images_are_seen_at_another_size(tmp_path: Path, data: VOCDataModule, network: PatchNetwork) -> None:
    record = data.records("val")[1]
    stored = class_probability(predict(tmp_path, data, side=30), record)
    shown = Normalisation(MIDDLE, MIDDLE)(resize_image(read_image(record.image), (30, 53)))
    with torch.inference_mode():
        probs = network.dense(shown[None]).softmax(dim=1)[:, :1]
        expected = resize_maps(probs, (21, 37))[0, 0].numpy()
    np.testing.assert_allclose(stored, expected, atol=2e-5)


def test_what_is_there_is_not_predicted_again(tmp_path: Path, data: VOCDataModule, network: PatchNetwork) -> None:
    out = predict(tmp_path, data)
    first, second = sorted((out / "scores").iterdir())
    whole, before = second.read_bytes(), first.stat().st_mtime_ns
    second.unlink()
    predict(tmp_path, data)
    assert first.stat().st_mtime_ns == before and second.read_bytes() == whole


def test_masks_are_not_opened(tmp_path: Path, data: VOCDataModule, network: PatchNetwork) -> None:
    for record in data.records("train"):
        if record.mask is not None:
            record.mask.unlink(missing_ok=True)
    out = predict(tmp_path, data, split="train")
    assert {path.stem for path in (out / "scores").iterdir()} == {r.image_id for r in data.records("train")}
