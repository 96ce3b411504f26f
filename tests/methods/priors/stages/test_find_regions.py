from functools import partial
from pathlib import Path

import numpy as np
import pytest
from fake_segmenter import open_voc
from numpy.typing import NDArray

from wsss_lightning.data.images import read_image
from wsss_lightning.errors import InputError
from wsss_lightning.methods.priors.stages.find_regions import crisp_regions, find_regions
from wsss_lightning.ops.boundaries import crisp_boundaries, regions
from wsss_lightning.stages.refine import read_regions

Regions = NDArray[np.int32]


def every_pixel(image: NDArray[np.uint8], *, step: int = 1) -> Regions:
    """As many regions as pixels: more than 8 bits can number."""
    height, width = image.shape[:2]
    return np.arange(height * width, dtype=np.int32).reshape(height, width) // step


def run(out_dir: Path, voc: Path, *, boundaries=every_pixel, split: str = "train", workers: int = 1) -> float:
    found = find_regions(
        out_dir=str(out_dir),
        data=open_voc(voc),
        split=split,
        boundaries=boundaries,
        workers=workers,
        progress=False,
    )
    return found["regions"]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("split", ["train", "val"])
def test_regions_come_back_as_they_were(tmp_path: Path, split: str, workers: int) -> None:
    assert run(tmp_path / "out", tmp_path / "voc", split=split, workers=workers) == 24 * 32
    for record in open_voc(tmp_path / "voc").records(split):
        found = read_regions(tmp_path / "out", record.image_id)
        assert found.dtype == np.int32
        assert np.array_equal(found, every_pixel(read_image(record.image)))


def test_only_what_is_missing_is_computed(tmp_path: Path) -> None:
    run(tmp_path / "out", tmp_path / "voc")
    first, *others = sorted((tmp_path / "out" / "regions").iterdir())
    first.unlink()
    mean = run(tmp_path / "out", tmp_path / "voc", boundaries=partial(every_pixel, step=768))
    assert read_regions(tmp_path / "out", first.stem).max() == 0
    assert read_regions(tmp_path / "out", others[0].stem).max() == 767
    assert mean == (1 + len(others) * 768) / (1 + len(others))


def too_many(image: NDArray[np.uint8]) -> Regions:
    return np.full(image.shape[:2], 65536, np.int32)


def test_more_regions_than_16_bits_number(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="more than 65536 regions: raise priors"):
        run(tmp_path / "out", tmp_path / "voc", boundaries=too_many)
    assert not list((tmp_path / "out").rglob("*.png"))


def test_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "regions").mkdir()
    (tmp_path / "regions" / "a.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="cannot be decoded"):
        read_regions(tmp_path, "a")


@pytest.fixture
def halves() -> NDArray[np.uint8]:
    """Two textures side by side, (64, 96, 3)."""
    image = np.random.default_rng(0).integers(0, 40, (64, 96, 3), np.uint8)
    image[:, 48:] += 150
    return image


def test_crisp_regions_are_those_between_crisp_boundaries(halves: NDArray[np.uint8]) -> None:
    strength, orientation = crisp_boundaries(halves, seed=3)
    found = crisp_regions(halves, threshold=0.5, seed=3)
    assert np.array_equal(found, regions(strength / strength.max(), orientation, 0.5))
    assert found[32, 10] != found[32, 85]


def test_nothing_is_stronger_than_the_strongest_boundary(halves: NDArray[np.uint8]) -> None:
    assert crisp_regions(halves, threshold=1.0, seed=3).max() == 0
