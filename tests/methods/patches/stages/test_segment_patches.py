import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_patches import open_patches, write_probabilities
from fake_segmenter import open_voc
from numpy.typing import NDArray

from wsss_lightning.data.images import read_image
from wsss_lightning.data.masks import read_mask
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.methods.patches.stages.segment_patches import foreground, segment_patches
from wsss_lightning.methods.patches.superpixels import majority_vote
from wsss_lightning.methods.patches.superpixels import superpixels as felzenszwalb

CAT = 8  # of VOC's indices


def columns(image: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Superpixels of one column each."""
    return np.broadcast_to(np.arange(image.shape[1]), image.shape[:2]).copy()


@pytest.fixture
def data(tmp_path: Path) -> VOCDataModule:
    return open_patches(tmp_path / "voc")


@pytest.fixture
def levels(tmp_path: Path, data: VOCDataModule) -> dict[str, NDArray[np.uint16]]:
    return write_probabilities(tmp_path / "predicted", data, "val")


def segment(tmp_path: Path, data: VOCDataModule, **settings: Any) -> dict[str, NDArray[np.uint8]]:
    defaults = {"threshold": 0.6, "superpixels": None, "target": "cat", "workers": 1}
    segment_patches(
        out_dir=str(tmp_path / "out"),
        data=data,
        probabilities=str(tmp_path / "predicted"),
        split="val",
        progress=False,
        **{**defaults, **settings},
    )
    return {path.stem: read_mask(path) for path in (tmp_path / "out" / "masks").iterdir()}


def test_equation_5() -> None:
    assert foreground(np.array([[0.5, 0.50001, 0.49]], np.float32), 0.5).tolist() == [[0, 1, 0]]


def test_pixels_above_the_threshold(tmp_path: Path, data: VOCDataModule, levels: dict[str, NDArray[np.uint16]]) -> None:
    found = segment(tmp_path, data)
    assert set(found) == set(levels)
    for image_id, mask in found.items():
        assert np.array_equal(mask, np.where(levels[image_id] / 65535 > 0.6, CAT, 0))


def test_superpixels_vote(tmp_path: Path, data: VOCDataModule, levels: dict[str, NDArray[np.uint16]]) -> None:
    found = segment(tmp_path, data, superpixels=columns, threshold=0.5)
    for image_id, mask in found.items():
        above = (levels[image_id] / 65535 > 0.5).mean(axis=0)
        assert 0 < (above > 0.5).mean() < 1
        assert np.array_equal(mask, np.broadcast_to(np.where(above > 0.5, CAT, 0), mask.shape))


def test_superpixels_of_the_image(tmp_path: Path, data: VOCDataModule, levels: dict[str, NDArray[np.uint16]]) -> None:
    settings = {"scale": 30.0, "sigma": 0.5, "min_size": 5}
    found = segment(tmp_path, data, superpixels=partial(felzenszwalb, **settings))
    for record in data.records("val"):
        labels = (levels[record.image_id] / 65535 > 0.6).astype(np.uint8)
        expected = majority_vote(labels, felzenszwalb(read_image(record.image), **settings))
        assert np.array_equal(found[record.image_id], expected * CAT)


def test_a_chosen_threshold(tmp_path: Path, data: VOCDataModule, levels: dict[str, NDArray[np.uint16]]) -> None:
    (tmp_path / "threshold.json").write_text(json.dumps({"threshold": 0.25, "ap": 0.1}))
    found = segment(tmp_path, data, threshold=str(tmp_path))
    assert all(np.array_equal(mask > 0, levels[image_id] / 65535 > 0.25) for image_id, mask in found.items())


def test_masks_hold_the_data_sets_own_indices(tmp_path: Path) -> None:
    """A data set opened for two classes: the second one's index stays VOC's."""
    data = open_voc(tmp_path / "voc", classes=["train", "cat"])
    write_probabilities(tmp_path / "predicted", data, "val")
    found = segment(tmp_path, data)
    assert {int(value) for mask in found.values() for value in np.unique(mask)} == {0, CAT}


def test_only_what_is_missing_is_segmented(
    tmp_path: Path, data: VOCDataModule, levels: dict[str, NDArray[np.uint16]]
) -> None:
    segment(tmp_path, data)
    first, second = sorted((tmp_path / "out" / "masks").iterdir())
    whole, before = second.read_bytes(), first.stat().st_mtime_ns
    second.unlink()
    segment(tmp_path, data)
    assert first.stat().st_mtime_ns == before and second.read_bytes() == whole


def test_an_unknown_class(tmp_path: Path, data: VOCDataModule, levels: dict[str, NDArray[np.uint16]]) -> None:
    with pytest.raises(InputError, match="no class 'unicorn': take one of aeroplane"):
        segment(tmp_path, data, target="unicorn")
