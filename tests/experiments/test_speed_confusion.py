"""The benchmark of the confusion matrix at toy size."""

import json
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "experiments" / "speed"


def test_all_ways_are_timed_and_the_page_says_the_ratio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr("measurement._MATMUL", 16)
    monkeypatch.setattr("measurement._COPIED", 1024)
    import confusion

    monkeypatch.setattr(confusion, "single_core", lambda: None)
    confusion.main(["--masks", "2", "--rounds", "1", "--out", str(tmp_path)])
    found = json.loads((tmp_path / "confusion.json").read_text())
    peers = [confusion.BINCOUNT, confusion.HISTOGRAM, confusion.METRICS, confusion.UNCHECKED, confusion.SKLEARN]
    assert list(found["rows"]) == [confusion.OURS, *peers]
    assert f"takes {found['ratio']:.2f} times as long" in (tmp_path / "confusion.md").read_text()


def test_masks_have_a_band_of_255_and_a_share_of_wrong_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    import confusion

    pred, target = confusion.random_pair(np.random.default_rng(1))
    assert 0.005 < (target == 255).mean() < 0.1 and pred.max() < confusion.LABELS
    assert 0.01 < (pred != target)[target != 255].mean() < 0.2
