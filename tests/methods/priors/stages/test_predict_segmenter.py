from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_segmenter import NETWORK, backbone, open_voc, train
from PIL import Image
from torch import Tensor

from wsss_lightning.data.masks import read_mask
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.methods.priors.segmenter import tags_alone
from wsss_lightning.methods.priors.stages.fit_segmenter import read_segmenter
from wsss_lightning.methods.priors.stages.predict_segmenter import (
    full_size,
    predict_segmenter,
    read_probabilities,
    read_upsampling,
)
from wsss_lightning.nn.deeplab import DeepLab, deeplab_resnet
from wsss_lightning.nn.resnet import resnet18
from wsss_lightning.ops.resize import resize_maps
from wsss_lightning.stages.io import read_tensors, write_tensors

LOSS = partial(tags_alone, sharpness=5.0)


@pytest.fixture
def data(tmp_path: Path) -> VOCDataModule:
    """Two val images, one of them 24 x 32 px, the other of a size that 8 does not divide."""
    opened = open_voc(tmp_path / "voc")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (21, 37, 3), np.uint8)).save(
        opened.records("val")[1].image, quality=95
    )
    return opened


def predict(tmp_path: Path, data: VOCDataModule, **settings: Any) -> Path:
    defaults = {"backbone": backbone(), "network": NETWORK, "segmenter": str(tmp_path / "segmenter")}
    predict_segmenter(
        out_dir=str(tmp_path / "out"),
        data=data,
        split="val",
        accelerator="cpu",
        progress=False,
        **{**defaults, **settings},
    )
    return tmp_path / "out"


def own_logits(network: DeepLab, data: VOCDataModule, index: int) -> Tensor:
    with torch.inference_mode():
        return network.forward(data.dataset("val")[index]["image"][None])


@pytest.mark.parametrize("index", [0, 1])
def test_stored_logits_give_what_the_network_gives(tmp_path: Path, data: VOCDataModule, index: int) -> None:
    train(tmp_path / "segmenter", data, None, loss=LOSS, rates=[0.1, 0.1])
    out, record = predict(tmp_path, data), data.records("val")[index]
    network = read_segmenter(tmp_path / "segmenter", backbone(), NETWORK, data)
    stored = read_tensors(out / "logits" / f"{record.image_id}.safetensors")
    expected = own_logits(network, data, index)
    height, width = expected.shape[2:]
    assert stored["logits"].dtype == torch.float16 and stored["logits"].shape[1:] == (3, 4 + index)
    found = full_size(stored["logits"], read_upsampling(out), seen=stored["seen"], size=(height, width))
    torch.testing.assert_close(found, expected[0], rtol=2e-3, atol=2e-3)
    probs = read_probabilities(out, record.image_id, (height, width))
    torch.testing.assert_close(probs, expected[0].softmax(dim=0), rtol=2e-3, atol=2e-3)
    assert np.array_equal(read_mask(out / "masks" / f"{record.image_id}.png"), found.argmax(dim=0))


def test_up_sampling_is_the_trained_one(tmp_path: Path, data: VOCDataModule) -> None:
    train(tmp_path / "segmenter", data, None, loss=LOSS, rates=[0.1, 0.1])
    network = read_segmenter(tmp_path / "segmenter", backbone(), NETWORK, data)
    found = read_upsampling(predict(tmp_path, data))
    scores = torch.randn(1, 21, 3, 4)
    assert torch.equal(found(scores), network.upsampling(scores))


def test_a_resnet_s_scores_stand_elsewhere(tmp_path: Path, data: VOCDataModule) -> None:
    def made() -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return resnet18(None)

    network = partial(deeplab_resnet, kernel=1, dilation=1)
    data = open_voc(tmp_path / "voc", mean=made().mean, std=made().std)
    train(tmp_path / "segmenter", data, None, loss=LOSS, backbone=made(), network=network, steps=[1, 1])
    out = predict(tmp_path, data, backbone=made(), network=network)
    expected = own_logits(read_segmenter(tmp_path / "segmenter", made(), network, data), data, 1)
    probs = read_probabilities(out, data.records("val")[1].image_id, (21, 37))
    torch.testing.assert_close(probs, expected[0].softmax(dim=0), rtol=2e-3, atol=2e-3)


def test_resized_images_are_predicted_at_their_own_size(tmp_path: Path, data: VOCDataModule) -> None:
    data = open_voc(data.root, size=(16, 16))
    train(tmp_path / "segmenter", data, None, loss=LOSS)
    out, record = predict(tmp_path, data), data.records("val")[1]
    network = read_segmenter(tmp_path / "segmenter", backbone(), NETWORK, data)
    expected = resize_maps(own_logits(network, data, 1), (21, 37))[0]
    probs = read_probabilities(out, record.image_id, (21, 37))
    torch.testing.assert_close(probs, expected.softmax(dim=0), rtol=2e-3, atol=2e-3)
    assert read_mask(out / "masks" / f"{record.image_id}.png").shape == (21, 37)


def test_masks_hold_the_data_sets_own_indices(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc", classes=["train", "tvmonitor"])
    train(tmp_path / "segmenter", data, None, loss=LOSS)
    out = predict(tmp_path, data)
    found = {int(value) for path in (out / "masks").glob("*.png") for value in np.unique(read_mask(path))}
    assert found <= {0, 19, 20}


def test_what_is_there_is_not_predicted_again(tmp_path: Path, data: VOCDataModule) -> None:
    train(tmp_path / "segmenter", data, None, loss=LOSS)
    out = predict(tmp_path, data)
    first, second = sorted((out / "masks").glob("*.png"))
    whole = second.read_bytes()
    before = first.stat().st_mtime_ns
    second.unlink()
    predict(tmp_path, data)
    assert first.stat().st_mtime_ns == before and second.read_bytes() == whole


@pytest.mark.parametrize("value", [float("nan"), 1e5])
def test_a_training_that_diverged_is_said(tmp_path: Path, data: VOCDataModule, value: float) -> None:
    train(tmp_path / "segmenter", data, None, loss=LOSS, steps=[1, 0])
    path = tmp_path / "segmenter" / "segmenter.safetensors"
    weights = read_tensors(path)
    weights["fc8.bias"][0] = value
    write_tensors(path, weights)
    with pytest.raises(InputError, match=r"2007_000006 exceed float16, so training diverged: lower"):
        predict(tmp_path, data)
