from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_segmenter import open_voc
from numpy.typing import NDArray
from PIL import Image

from wsss_lightning.data.images import read_image
from wsss_lightning.data.masks import read_mask
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.nn.deeplab import full_probabilities
from wsss_lightning.nn.description import describe
from wsss_lightning.nn.upsampling import Upsampling
from wsss_lightning.ops.crf import dense_crf, region_potential, unary_from_probabilities
from wsss_lightning.stages.io import write_json, write_tensors
from wsss_lightning.stages.predict import read_probabilities
from wsss_lightning.stages.refine import refine, smooth

CRF = partial(
    dense_crf,
    spatial_weight=3.0,
    spatial_sigma=3.0,
    bilateral_weight=4.0,
    bilateral_sigma=30.0,
    color_sigma=10.0,
    iterations=3,
)
LABELS = 21


@pytest.fixture
def data(tmp_path: Path) -> VOCDataModule:
    return open_voc(tmp_path / "voc")


@pytest.fixture
def predictions(tmp_path: Path, data: VOCDataModule) -> Path:
    """Random logits as `stages.predict` leaves them, and random regions."""
    folder, generator = tmp_path / "predictions", torch.Generator().manual_seed(0)
    upsampling = Upsampling(num_labels=LABELS, stride=8, centre=7.5)
    write_json(folder / "reading.json", describe(partial(full_probabilities, stride=8, centre=7.5)))
    write_tensors(folder / "reading.safetensors", {"upsampling": upsampling.weight})
    (tmp_path / "numbered" / "regions").mkdir(parents=True)
    for record in data.records("val"):
        logits = 2 * torch.randn(LABELS, 3, 4, generator=generator)
        tensors = {"logits": logits.half(), "input_size": torch.tensor([24, 32])}
        write_tensors(folder / "scores" / f"{record.image_id}.safetensors", tensors)
        Image.fromarray(regions_of(record.image_id)).save(tmp_path / "numbered" / "regions" / f"{record.image_id}.png")
    return folder


def regions_of(image_id: str) -> NDArray[np.uint16]:
    """Pieces of 2 x 4 px, numbered in another order for every image."""
    order = np.random.default_rng(int(image_id[-1])).permutation(96).reshape(12, 8)
    return order.repeat(2, axis=0).repeat(4, axis=1).astype(np.uint16)


def run(
    out: Path, data: VOCDataModule, predictions: Path, regions: Path | None, *, workers: int = 1, tagged: bool = False
) -> Path:
    refine(
        out_dir=str(out),
        data=data,
        predictions=str(predictions),
        split="val",
        unary=unary_from_probabilities,
        crf=CRF,
        regions=None if regions is None else str(regions),
        tagged=tagged,
        workers=workers,
        progress=False,
    )
    return out / "masks"


@pytest.mark.parametrize("with_regions", [False, True])
def test_masks_are_those_of_the_field(
    tmp_path: Path, data: VOCDataModule, predictions: Path, with_regions: bool
) -> None:
    masks = run(tmp_path / "out", data, predictions, tmp_path / "numbered" if with_regions else None)
    for record in data.records("val"):
        probs = read_probabilities(predictions, record.image_id, (24, 32)).numpy()
        regions = regions_of(record.image_id).astype(np.int32)
        terms = (regions, region_potential(probs, regions)) if with_regions else ()
        expected = CRF(read_image(record.image), unary_from_probabilities(probs), *terms).argmax(axis=0)
        assert np.array_equal(read_mask(masks / f"{record.image_id}.png"), expected)


def test_regions_change_the_masks(tmp_path: Path, data: VOCDataModule, predictions: Path) -> None:
    pairs = run(tmp_path / "pairs", data, predictions, None)
    both = run(tmp_path / "both", data, predictions, tmp_path / "numbered")
    assert any(path.read_bytes() != (both / path.name).read_bytes() for path in pairs.glob("*.png"))


def test_several_processes_change_nothing_and_what_is_there_stays(
    tmp_path: Path, data: VOCDataModule, predictions: Path
) -> None:
    alone = run(tmp_path / "alone", data, predictions, tmp_path / "numbered")
    helped = run(tmp_path / "helped", data, predictions, tmp_path / "numbered", workers=2)
    first, second = (sorted(folder.glob("*.png")) for folder in (alone, helped))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    before = first[0].stat().st_mtime_ns
    first[1].unlink()
    run(tmp_path / "alone", data, predictions, tmp_path / "numbered")
    assert first[0].stat().st_mtime_ns == before and first[1].read_bytes() == second[1].read_bytes()


@pytest.mark.parametrize("with_regions", [False, True])
def test_noise_in_the_probabilities_of_two_plain_halves_is_smoothed_away(with_regions: bool) -> None:
    image = np.full((24, 32, 3), 30, np.uint8)
    image[:, 16:] = 200
    truth = np.repeat([[0] * 16 + [1] * 16], 24, axis=0)
    right = np.random.default_rng(0).random(truth.shape) < 0.8
    probs = np.where(np.stack([truth == 0, truth == 1]) == right, 0.7, 0.3).astype(np.float32)
    noisy = probs.argmax(axis=0)
    assert 0.7 < (noisy == truth).mean() < 0.9
    regions = truth.astype(np.int32) if with_regions else None
    assert np.array_equal(smooth(image, probs, regions, unary=unary_from_probabilities, crf=CRF), truth)


def test_with_tags_the_field_is_one_of_background_and_the_tags(
    tmp_path: Path, data: VOCDataModule, predictions: Path
) -> None:
    run(tmp_path / "tagged", data, predictions, tmp_path / "numbered", tagged=True)
    for record in data.records("val"):
        image, shown = read_image(record.image), [0, *(np.flatnonzero(record.tags) + 1)]
        probs = read_probabilities(predictions, record.image_id, image.shape[:2]).numpy()[shown]
        probs /= probs.sum(axis=0)
        expected = smooth(
            image, probs, regions_of(record.image_id).astype(np.int32), unary=unary_from_probabilities, crf=CRF
        )
        labels = data.encode(read_mask(tmp_path / "tagged" / "masks" / f"{record.image_id}.png"), Path())
        assert np.array_equal(labels, np.array(shown)[expected]) and set(np.unique(labels)) > {0}


def test_pixels_that_are_surely_of_another_class_are_labelled_all_the_same(tmp_path: Path, data: VOCDataModule) -> None:
    """Stored in half precision, what is possible there has a probability of 0."""
    folder = tmp_path / "certain"
    upsampling = Upsampling(num_labels=LABELS, stride=8, centre=7.5)
    write_json(folder / "reading.json", describe(partial(full_probabilities, stride=8, centre=7.5)))
    write_tensors(folder / "reading.safetensors", {"upsampling": upsampling.weight})
    for record in data.records("val"):
        logits = torch.full((LABELS, 3, 4), -500.0)
        logits[1 + int(np.flatnonzero(~record.tags)[0])] = 500.0
        tensors = {"logits": logits.half(), "input_size": torch.tensor([24, 32])}
        write_tensors(folder / "scores" / f"{record.image_id}.safetensors", tensors)
    masks = run(tmp_path / "out", data, folder, None, tagged=True)
    for record in data.records("val"):
        labels = data.encode(read_mask(masks / f"{record.image_id}.png"), Path())
        assert set(np.unique(labels)) <= {0, *(np.flatnonzero(record.tags) + 1)}
