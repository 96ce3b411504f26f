"""The benchmark program of priors on a tiny picture: it runs, and its page is written."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

FOLDER = Path(__file__).parents[2] / "experiments" / "speed"


def test_steps_beside_the_papers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    import priors

    picture = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)).save(picture)
    monkeypatch.setattr(priors, "SIZE", (48, 32))
    monkeypatch.setattr(priors, "single_core", lambda: None)
    monkeypatch.setattr(priors, "forward", lambda: lambda: None)  # VGG-16 takes seconds to make
    priors.main([str(picture), "--rounds", "1", "--out", str(tmp_path)])
    found = json.loads((tmp_path / "priors.json").read_text())
    assert set(priors.PAPER) < set(found["times"])
    assert all(row["wall_s"] > 0 for row in found["times"].values())
    page = (tmp_path / "priors.md").read_text()
    assert "| crisp boundaries | 4.1 |" in page and str(tmp_path) not in page
