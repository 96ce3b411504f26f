"""The programs of commands, sweeps, regions and forms of prediction at toy size."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_data import write_voc
from PIL import Image

FOLDER = Path(__file__).parents[2] / "experiments" / "speed"


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_commands_are_processes_whose_own_seconds_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import commands

    nothing = {"nothing": [sys.executable, "-c", "pass"], "work": [sys.executable, "-c", "sum(range(10**7))"]}
    monkeypatch.setattr(commands, "commands", lambda _: nothing)
    commands.main(["--rounds", "1", "--out", str(tmp_path)])
    found = json.loads((tmp_path / "commands.json").read_text())["seconds"]
    assert found["work"]["processor_s"] > found["nothing"]["processor_s"] > 0
    assert "| `nothing` |" in (tmp_path / "commands.md").read_text()
    with pytest.raises(subprocess.CalledProcessError):
        commands.run([sys.executable, "-c", "raise SystemExit(2)"])


def test_what_is_checked_is_a_folder_with_tags(tmp_path: Path) -> None:
    import commands

    from wsss_lightning.data.check import check_data
    from wsss_lightning.data.folder import FolderDataModule

    commands.write_photographs(tmp_path / "a", None, 3)
    commands.write_photographs(tmp_path / "b", tmp_path / "a" / "images", 2)
    for name, count in (("a", 3), ("b", 2)):
        data = FolderDataModule(root=tmp_path / name, held_out=0)
        assert len(data.records("train")) == count and data.class_names == ("cat", "dog")
        assert not check_data(data, processes=1, progress=False).errors
    given = commands.commands(tmp_path)
    assert given[commands.CHECK][-1] == str(tmp_path / "data") and given[commands.HELP][-1] == "--help"


def test_a_sweep_beside_its_distinct_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sweep

    called: list[list[str]] = []

    def run(command: list[str]) -> dict[str, float]:
        called.append(command)
        root = Path(next(text for text in command if text.startswith("paths.root=")).partition("=")[2])
        for number in range(2):
            (root / "store" / f"stage-{number}").mkdir(parents=True, exist_ok=True)
            (root / "store" / f"stage-{number}" / "stage.json").write_text('{"wall_seconds": 4.0}')
        return {"wall_s": 10.0, "processor_s": 1.5}

    monkeypatch.setattr(sweep, "run", run)
    sweep.main(["--rows", "8", "--scenes", "40", "--rounds", "1", "--set", "a=1", "--out", str(tmp_path)])
    found = json.loads((tmp_path / "sweep.json").read_text())
    assert (found["rows"], found["stages"], found["wall_over_stages"], found["a_job_s"]) == (8, 2, 1.25, 0.25)
    assert "seed=0,1" in called[0] and "stages.shapes.val=10" in called[0] and "a=1" in called[0]
    assert called[0] == called[1] and "table" in called[2]
    assert "1.25 times as long" in (tmp_path / "sweep.md").read_text()


def test_regions_and_the_energy_of_their_cuts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import regions

    monkeypatch.setattr(regions, "single_core", lambda: None)
    image = np.random.default_rng(0).integers(0, 256, (2, 3, 3), np.uint8).repeat(30, 0).repeat(30, 1)
    Image.fromarray(image).save(tmp_path / "a.jpg")
    regions.main([str(tmp_path), "--photographs", "1", "--rounds", "1", "--out", str(tmp_path)])
    found = json.loads((tmp_path / "regions.json").read_text())
    assert {regions.SEGMENTS, regions.CUT} <= found["seconds_an_image"].keys()
    assert found["accuracy"] == {} and found["photographs_with_masks"] == 0
    assert found["pixels_of_another_label"] == 0 and str(tmp_path) not in (tmp_path / "regions.md").read_text()
    edges = regions.contrast_edges(image, smoothness=2.0, neighbours=8)
    costs = regions.costs_of(image)
    (cut,) = regions.cut_by("scipy", [(*costs, edges)])
    least = regions.energy(cut, *costs, edges)
    assert 0 < cut.mean() < 1 and least < 0 == regions.energy(np.zeros_like(cut), *costs, edges)
    for row, column in ((0, 0), (30, 45)):
        other = cut.copy()
        other[row, column] ^= True
        assert regions.energy(other, *costs, edges) >= least


def test_superpixels_are_as_good_as_their_commonest_labels(tmp_path: Path) -> None:
    import regions

    segments = np.array([[0, 0, 0, 1], [0, 2, 2, 1]])
    mask = np.array([[5, 5, 0, 0], [255, 0, 7, 255]], np.uint8)
    assert regions.achievable(segments, mask) == (2 + 1 + 1, 6)
    results = {"superpixels, a": [segments, segments], "graph_cut, b": [segments, segments]}
    assert regions.accuracies(results, [mask, None]) == {"superpixels, a": 4 / 6}
    (tmp_path / "JPEGImages").mkdir()
    (tmp_path / "SegmentationClass").mkdir()
    Image.fromarray(mask).save(tmp_path / "SegmentationClass" / "x.png")
    found = regions.read_mask(tmp_path / "JPEGImages" / "x.jpg")
    assert found is not None and (found == mask).all()
    assert regions.read_mask(tmp_path / "JPEGImages" / "y.jpg") is None


def test_forms_of_a_prediction(tmp_path: Path) -> None:
    import forms

    write_voc(tmp_path / "voc", val=("2007_000006", "2007_000007"))
    forms.main([str(tmp_path / "voc"), "--photographs", "1", "--rounds", "1", "--out", str(tmp_path)])
    rows = json.loads((tmp_path / "forms.json").read_text())["rows"]
    assert [*rows] == [forms.PLAIN, forms.LAST, forms.BF16]
    assert rows[forms.PLAIN]["same_labels"] == 1 and rows[forms.PLAIN]["largest_difference"] == 0
    assert rows[forms.LAST]["largest_difference"] < 1e-4 < rows[forms.BF16]["largest_difference"] < 0.2
    assert "| bf16 |" in (tmp_path / "forms.md").read_text()
