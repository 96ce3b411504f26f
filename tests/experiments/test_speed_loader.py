"""The loader's benchmark program at toy size: it runs, and its page is written."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

FOLDER = Path(__file__).parents[2] / "experiments" / "speed"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(FOLDER))
    names = [f"2007_00000{number}" for number in range(5)]
    for folder in ("JPEGImages", "ImageSets/Segmentation"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "ImageSets/Segmentation/train_aug.txt").write_text("\n".join(names))
    np.save(tmp_path / "cls_labels.npy", np.array({name: np.ones(20, np.float32) for name in names}))
    for name in names:
        Image.fromarray(np.full((40, 50, 3), 90, np.uint8)).save(tmp_path / "JPEGImages" / f"{name}.jpg")
    return tmp_path


def test_the_loader_beside_a_bare_loop(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import loader

    monkeypatch.setattr(loader, "keep_freed_memory", lambda: None)
    loader.main([str(root), "--rounds", "1", "--processes", "1", "--out", str(tmp_path / "results")])
    found = json.loads((tmp_path / "results" / "loader.json").read_text())
    assert found["images"] == 5
    assert set(found["rows"]) == {*loader.LOOPS, *loader.PEERS, *loader.AUGMENTATIONS}
    assert all(set(found["rows"][name]["beside_peers"]) == {*loader.PEERS} for name in loader.AUGMENTATIONS)
    assert [read(next((root / "JPEGImages").glob("*.jpg"))).dtype for read in loader.PEERS.values()] == [
        torch.uint8
    ] * 2
    assert all(found["rows"][name]["ratio"] == 1 for name in (loader.UINT8, loader.FLOAT))
    assert all(row["images_per_s"] > 0 for row in found["rows"].values())
    assert str(root) not in found["machine"]["command"]
    page = (tmp_path / "results" / "loader.md").read_text()
    assert "| loader: patches' jitter |" in page and "decode" in page
