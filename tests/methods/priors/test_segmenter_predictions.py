"""What the trained segmenter says of images, as the shared stage writes it and as it is read again."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_segmenter import TRAINER, open_voc, train
from PIL import Image
from torch import Tensor

from wsss_lightning.data.masks import read_mask
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.methods.priors.segmenter import tags_alone
from wsss_lightning.models import load
from wsss_lightning.nn.deeplab import deeplab_resnet
from wsss_lightning.nn.resnet import resnet18
from wsss_lightning.ops.resize import resize_maps
from wsss_lightning.stages.io import read_tensors, write_tensors
from wsss_lightning.stages.predict import predict, read_probabilities

LOSS = partial(tags_alone, sharpness=5.0)


@pytest.fixture
def data(tmp_path: Path) -> VOCDataModule:
    """Two val images, one of them 24 x 32 px, the other of a size that 8 does not divide."""
    opened = open_voc(tmp_path / "voc")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (21, 37, 3), np.uint8)).save(
        opened.records("val")[1].image, quality=95
    )
    return opened


def run(tmp_path: Path, data: VOCDataModule) -> Path:
    predict(
        out_dir=str(tmp_path / "out"),
        data=data,
        model=str(tmp_path / "segmenter"),
        split="val",
        trainer=TRAINER,
        workers=0,
        progress=False,
    )
    return tmp_path / "out"


def own_logits(tmp_path: Path, data: VOCDataModule, index: int) -> Tensor:
    with torch.inference_mode():
        return load(tmp_path / "segmenter")(data.dataset("val")[index]["image"][None])


@pytest.mark.parametrize("index", [0, 1])
def test_stored_logits_give_what_the_network_gives(tmp_path: Path, data: VOCDataModule, index: int) -> None:
    train(tmp_path / "segmenter", data, None, loss=LOSS, rates=[0.1, 0.1])
    out, record = run(tmp_path, data), data.records("val")[index]
    stored = read_tensors(out / "scores" / f"{record.image_id}.safetensors")
    expected = own_logits(tmp_path, data, index)
    height, width = expected.shape[2:]
    assert stored["logits"].dtype == torch.float16 and stored["logits"].shape[1:] == (3, 4 + index)
    probs = read_probabilities(out, record.image_id, (height, width))
    torch.testing.assert_close(probs, expected[0].softmax(dim=0), rtol=2e-3, atol=2e-3)
    assert np.array_equal(read_mask(out / "masks" / f"{record.image_id}.png"), probs.argmax(dim=0))


def test_up_sampling_is_the_trained_one(tmp_path: Path, data: VOCDataModule) -> None:
    train(tmp_path / "segmenter", data, None, loss=LOSS, rates=[0.1, 0.1])
    kept = read_tensors(run(tmp_path, data) / "reading.safetensors")["upsampling"]
    assert torch.equal(kept, load(tmp_path / "segmenter").segmenter.upsampling.weight)


def test_a_resnet_s_scores_stand_elsewhere(tmp_path: Path, data: VOCDataModule) -> None:
    backbone = resnet18(None)
    data = open_voc(tmp_path / "voc", mean=backbone.mean, std=backbone.std)
    network = partial(deeplab_resnet, kernel=1, dilation=1)
    train(tmp_path / "segmenter", data, None, loss=LOSS, backbone=backbone, network=network, steps=[1, 1])
    out, expected = run(tmp_path, data), own_logits(tmp_path, data, 1)
    probs = read_probabilities(out, data.records("val")[1].image_id, (21, 37))
    torch.testing.assert_close(probs, expected[0].softmax(dim=0), rtol=2e-3, atol=2e-3)


def test_resized_images_are_predicted_at_their_own_size(tmp_path: Path, data: VOCDataModule) -> None:
    data = open_voc(data.root, size=(16, 16), batch_size=2)
    train(tmp_path / "segmenter", data, None, loss=LOSS)
    out, record = run(tmp_path, data), data.records("val")[1]
    expected = resize_maps(own_logits(tmp_path, data, 1), (21, 37))[0]
    probs = read_probabilities(out, record.image_id, (21, 37))
    torch.testing.assert_close(probs, expected.softmax(dim=0), rtol=2e-3, atol=2e-3)
    assert read_mask(out / "masks" / f"{record.image_id}.png").shape == (21, 37)


def test_masks_hold_the_data_sets_own_indices(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc", classes=["train", "tvmonitor"])
    train(tmp_path / "segmenter", data, None, loss=LOSS)
    out = run(tmp_path, data)
    labels = {int(value) for path in (out / "masks").glob("*.png") for value in np.unique(read_mask(path))}
    assert labels <= {0, 19, 20}


def test_what_is_there_is_not_predicted_again(tmp_path: Path, data: VOCDataModule) -> None:
    train(tmp_path / "segmenter", data, None, loss=LOSS)
    out = run(tmp_path, data)
    first, second = sorted((out / "masks").glob("*.png"))
    whole = second.read_bytes()
    before = first.stat().st_mtime_ns
    second.unlink()
    run(tmp_path, data)
    assert first.stat().st_mtime_ns == before and second.read_bytes() == whole


@pytest.mark.parametrize("value", [float("nan"), 1e5])
def test_a_training_that_diverged_is_said(tmp_path: Path, data: VOCDataModule, value: float) -> None:
    train(tmp_path / "segmenter", data, None, loss=LOSS, steps=[1, 0])
    path = tmp_path / "segmenter" / "model.safetensors"
    weights = read_tensors(path)
    weights["segmenter.fc8.bias"][0] = value
    write_tensors(path, weights)
    with pytest.raises(InputError, match=r"2007_000006 exceed float16, so training diverged: lower"):
        run(tmp_path, data)
