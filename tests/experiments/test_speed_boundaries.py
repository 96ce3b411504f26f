"""The boundaries' benchmark program on two tiny pictures: it runs, and its page is written."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

FOLDER = Path(__file__).parents[2] / "experiments" / "speed"


def humans(regions: np.ndarray, count: int) -> np.ndarray:
    """Segmentations as the Berkeley files hold them: structures within cells."""
    lines = np.zeros(regions.shape, np.uint8)
    lines[:, :-1] = regions[:, 1:] != regions[:, :-1]
    cells = np.empty((1, count), object)
    for number in range(count):
        cells[0, number] = {"Segmentation": regions.astype(np.uint16), "Boundaries": lines}
    return cells


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(FOLDER))
    for folder in ("images", "groundTruth"):
        (tmp_path / folder).mkdir()
    for number, column in enumerate((20, 30)):
        regions = np.broadcast_to(1 + (np.arange(50) >= column), (40, 50))
        picture = np.where(regions[..., None] == 1, (200, 60, 60), (60, 60, 200)).astype(np.uint8)
        Image.fromarray(picture).save(tmp_path / "images" / f"{number}.jpg", quality=95)
        savemat(tmp_path / "groundTruth" / f"{number}.mat", {"groundTruth": humans(regions, 1 + number)})
    return tmp_path


def test_boundaries_beside_sobel(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import boundaries

    monkeypatch.setattr(boundaries, "SIZE", (48, 32))
    monkeypatch.setattr(boundaries, "single_core", lambda: None)
    boundaries.main([str(root), "--rounds", "1", "--out", str(tmp_path / "results")])
    found = json.loads((tmp_path / "results" / "boundaries.json").read_text())
    assert found["images"] == 2
    assert set(found["boundaries"]) == set(boundaries.METHODS)
    assert found["boundaries"]["Sobel"]["ods"] > 0.9
    assert set(found["regions"]) == {boundaries.CRISP, boundaries.ORIENTED, boundaries.FELZENSZWALB}
    assert found["regions"][boundaries.FELZENSZWALB]["covering"] > 0.9
    assert set(found["times"]) == {*boundaries.METHODS, "regions", boundaries.FELZENSZWALB}
    assert str(root) not in found["machine"]["command"]
    page = (tmp_path / "results" / "boundaries.md").read_text()
    assert "| Sobel |" in page and "beside Sobel's" in page
