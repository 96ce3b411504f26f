"""The benchmark programs of the dense CRF on tiny pictures: they run, and their pages are written."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

FOLDER = Path(__file__).parents[2] / "experiments" / "speed"


def _write_noise(folder: Path) -> None:
    for name in "ab":
        picture = np.random.default_rng(ord(name)).integers(0, 256, (40, 50, 3), np.uint8)
        Image.fromarray(picture).save(folder / f"{name}.jpg")


def test_the_lattice_beside_pydensecrf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pydensecrf")
    monkeypatch.syspath_prepend(str(FOLDER))
    import crf

    _write_noise(tmp_path)
    monkeypatch.setattr(crf, "single_core", lambda: None)
    crf.main([str(tmp_path), "--photographs", "2", "--rounds", "1", "--labels", "3", "--out", str(tmp_path)])
    rows = json.loads((tmp_path / "crf.json").read_text())["rows"]
    assert [(row["field"], row["pixels"]) for row in rows] == [(name, 4000) for name in crf.SETS]
    assert all(row["largest_difference"] < 2e-3 and not row["pixels_of_another_label"] for row in rows)
    page = (tmp_path / "crf.md").read_text()
    assert "| coseg | 3 |" in page and str(tmp_path) not in page


def test_many_photographs_beside_a_plain_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pydensecrf")
    monkeypatch.syspath_prepend(str(FOLDER))
    import crf_cores

    _write_noise(tmp_path)
    monkeypatch.setattr(crf_cores, "single_core", lambda: None)
    crf_cores.main([str(tmp_path), "--labels", "3", "--processes", "1", "--out", str(tmp_path)])
    (row,) = json.loads((tmp_path / "crf_cores.json").read_text())["rows"]
    assert row["labels"] == 3 and row["pixels_of_another_label"] == 0 and row["gain"] > 0
    assert "| 3 | 1 |" in (tmp_path / "crf_cores.md").read_text()
