from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_sbd import EXTRA, SIZE, write_mat, write_voc_and_sbd
from torchvision.datasets import SBDataset

from wsss_lightning.data.prepare.sbd import read_segmentation
from wsss_lightning.errors import InputError


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    write_voc_and_sbd(tmp_path)
    return tmp_path / "benchmark_RELEASE" / "dataset"


def test_every_cut_of_a_mat_is_seen(dataset: Path, tmp_path: Path) -> None:
    content = (dataset / "cls" / f"{EXTRA[0]}.mat").read_bytes()
    for cut in range(0, len(content), 5):
        (tmp_path / "cut.mat").write_bytes(content[:cut])
        with pytest.raises(InputError, match=r"cut\.mat"):
            read_segmentation(tmp_path / "cut.mat")


@pytest.mark.parametrize(
    "mask",
    [
        np.full(SIZE, 21, np.uint8),
        np.full(SIZE, 255, np.uint8),
        np.zeros(SIZE, np.int16),
    ],
    ids=["index 21", "index 255", "int16"],
)
def test_a_mat_of_something_else_is_refused(tmp_path: Path, mask: np.ndarray) -> None:
    write_mat(tmp_path / "a.mat", np.zeros(SIZE, np.uint8))
    read_segmentation(tmp_path / "a.mat")
    write_mat(tmp_path / "a.mat", mask)
    with pytest.raises(InputError, match=r"a\.mat holds .* not uint8 class indices up to 20"):
        read_segmentation(tmp_path / "a.mat")


@pytest.mark.parametrize("split", ["train", "val"])
def test_segmentations_are_torchvisions(dataset: Path, split: str) -> None:
    reference = SBDataset(dataset, image_set=split, mode="segmentation")
    for path, (_, mask) in zip(reference.masks, reference, strict=True):
        assert np.array_equal(read_segmentation(Path(path)), np.array(mask))
