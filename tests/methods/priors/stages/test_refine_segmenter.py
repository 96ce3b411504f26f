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
from wsss_lightning.methods.priors.stages.predict_segmenter import read_probabilities, write_upsampling
from wsss_lightning.methods.priors.stages.refine_segmenter import refine_segmenter
from wsss_lightning.nn.upsampling import Upsampling
from wsss_lightning.ops.crf import dense_crf, region_potential, unary_from_probabilities
from wsss_lightning.stages.io import write_tensors

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
    """Random logits as `predict_segmenter` leaves them, and random regions."""
    folder, generator = tmp_path / "predictions", torch.Generator().manual_seed(0)
    write_upsampling(folder, Upsampling(num_labels=LABELS, stride=8, centre=7.5))
    (tmp_path / "found" / "regions").mkdir(parents=True)
    for record in data.records("val"):
        logits = 2 * torch.randn(LABELS, 3, 4, generator=generator)
        tensors = {"logits": logits.half(), "seen": torch.tensor([24, 32])}
        write_tensors(folder / "logits" / f"{record.image_id}.safetensors", tensors)
        Image.fromarray(regions_of(record.image_id)).save(tmp_path / "found" / "regions" / f"{record.image_id}.png")
    return folder


def regions_of(image_id: str) -> NDArray[np.uint16]:
    """Pieces of 2 x 4 px, numbered in another order for every image."""
    order = np.random.default_rng(int(image_id[-1])).permutation(96).reshape(12, 8)
    return order.repeat(2, axis=0).repeat(4, axis=1).astype(np.uint16)


def refine(out: Path, data: VOCDataModule, predictions: Path, regions: Path | None, *, workers: int = 1) -> Path:
    refine_segmenter(
        out_dir=str(out),
        data=data,
        predictions=str(predictions),
        split="val",
        unary=unary_from_probabilities,
        crf=CRF,
        regions=None if regions is None else str(regions),
        workers=workers,
        progress=False,
    )
    return out / "masks"


@pytest.mark.parametrize("with_regions", [False, True])
def test_masks_are_those_of_the_field(
    tmp_path: Path, data: VOCDataModule, predictions: Path, with_regions: bool
) -> None:
    masks = refine(tmp_path / "out", data, predictions, tmp_path / "found" if with_regions else None)
    for record in data.records("val"):
        probs = read_probabilities(predictions, record.image_id, (24, 32)).numpy()
        regions = regions_of(record.image_id).astype(np.int32)
        terms = (regions, region_potential(probs, regions)) if with_regions else ()
        expected = CRF(read_image(record.image), unary_from_probabilities(probs), *terms).argmax(axis=0)
        assert np.array_equal(read_mask(masks / f"{record.image_id}.png"), expected)


def test_regions_change_the_masks(tmp_path: Path, data: VOCDataModule, predictions: Path) -> None:
    pairs = refine(tmp_path / "pairs", data, predictions, None)
    both = refine(tmp_path / "both", data, predictions, tmp_path / "found")
    assert any(path.read_bytes() != (both / path.name).read_bytes() for path in pairs.glob("*.png"))


def test_several_processes_change_nothing_and_what_is_there_stays(
    tmp_path: Path, data: VOCDataModule, predictions: Path
) -> None:
    alone = refine(tmp_path / "alone", data, predictions, tmp_path / "found")
    helped = refine(tmp_path / "helped", data, predictions, tmp_path / "found", workers=2)
    first, second = (sorted(folder.glob("*.png")) for folder in (alone, helped))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    before = first[0].stat().st_mtime_ns
    first[1].unlink()
    refine(tmp_path / "alone", data, predictions, tmp_path / "found")
    assert first[0].stat().st_mtime_ns == before and first[1].read_bytes() == second[1].read_bytes()
