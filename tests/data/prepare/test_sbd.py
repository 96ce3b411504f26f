from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_sbd import EXTRA, SIZE, write_mat, write_voc_and_sbd
from PIL import Image
from torchvision.datasets import SBDataset

from wsss_lightning.data.prepare.sbd import MaskSource, place_masks, read_sbd_mask
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
            read_sbd_mask(tmp_path / "cut.mat")


@pytest.mark.parametrize(
    "mask",
    [
        np.full(SIZE, 21, np.uint8),
        np.full(SIZE, 255, np.uint8),
        np.full(SIZE, 0.5),
        np.full(SIZE, -1, np.int16),
        np.full(SIZE, np.nan),
    ],
    ids=["index 21", "index 255", "half", "negative", "nan"],
)
def test_a_mat_of_something_else_is_refused(tmp_path: Path, mask: np.ndarray) -> None:
    write_mat(tmp_path / "a.mat", np.zeros(SIZE, np.uint8))
    read_sbd_mask(tmp_path / "a.mat")
    write_mat(tmp_path / "a.mat", mask)
    with pytest.raises(InputError, match=r"a\.mat holds the value .*: save class indices, whole numbers 0 to 20"):
        read_sbd_mask(tmp_path / "a.mat")


@pytest.mark.parametrize("dtype", [np.float64, np.int16])
def test_whole_numbers_of_another_type_are_read(tmp_path: Path, dtype: type) -> None:
    mask = np.arange(np.prod(SIZE)).reshape(SIZE) % 21
    write_mat(tmp_path / "a.mat", mask.astype(dtype))
    found = read_sbd_mask(tmp_path / "a.mat")
    assert found.dtype == np.uint8 and np.array_equal(found, mask)


def test_a_segmentation_of_another_size_is_not_written(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(tmp_path / "a.jpg")
    write_mat(tmp_path / "a.mat", np.zeros(SIZE[::-1], np.uint8))
    source = MaskSource(tmp_path / "a.mat", tmp_path / "a.png", tmp_path / "a.jpg")
    with pytest.raises(InputError, match=r"a\.mat has size .*a\.jpg has .*use the image's own"):
        place_masks([source], processes=1, progress=False)
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("split", ["train", "val"])
def test_segmentations_are_torchvisions(dataset: Path, split: str) -> None:
    reference = SBDataset(dataset, image_set=split, mode="segmentation")
    for path, (_, mask) in zip(reference.masks, reference, strict=True):
        assert np.array_equal(read_sbd_mask(Path(path)), np.array(mask))
