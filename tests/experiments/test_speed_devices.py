"""The programs that measure on a GPU where there is one, at toy size on the processor."""

from __future__ import annotations

import json
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
    monkeypatch.setattr("measurement._MATMUL", 16)
    monkeypatch.setattr("measurement._COPIED", 1024)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two photographs of one size and one of another."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number, size in enumerate([(48, 32), (48, 32), (32, 32)]):
        noise = np.random.default_rng(number).integers(0, 256, (4, 6, 3), np.uint8)
        Image.fromarray(noise).resize(size).save(folder / f"{number}.jpg")
    return folder


def test_activation_maps_are_those_of_the_loop(images: Path, tmp_path: Path) -> None:
    import cams

    given = ["--backbone", "resnet18", "--photographs", "3", "--batch", "2", "--rounds", "1", "--out", str(tmp_path)]
    cams.main([str(images), *given])
    found = json.loads((tmp_path / "cams.json").read_text())
    assert (found["images"], found["size"]) == (2, [32, 48]), "of the commonest size"
    assert found["largest_difference"] < 1e-4
    seconds = found["seconds_an_image"]
    assert found["times_as_fast"][cams.OURS] == pytest.approx(seconds[cams.LOOP] / seconds[cams.OURS])
    page = (tmp_path / "cams.md").read_text()
    assert "| ours, 2 images at a time, bf16 |" in page and str(tmp_path) not in page


def test_prediction_beside_its_forward_passes(tmp_path: Path) -> None:
    import prediction

    write_voc(tmp_path / "voc", val=("2007_000006", "2007_000007", "2007_000008"))
    given = ["--backbone", "resnet18", "--photographs", "2", "--workers", "0", "--rounds", "1"]
    prediction.main([str(tmp_path / "voc"), *given, "--out", str(tmp_path)])
    found = json.loads((tmp_path / "prediction.json").read_text())
    assert found["images"] == 2 and found["busy_share"] is None
    seconds = found["seconds"]
    assert found["ratio"] == pytest.approx(seconds[prediction.WHOLE] / seconds[prediction.BARE])
    assert "| bare forward passes |" in (tmp_path / "prediction.md").read_text()


def test_agreement_of_a_device_with_itself(images: Path, tmp_path: Path) -> None:
    import agreement

    agreement.main([str(images), "--backbone", "resnet18", "--photographs", "1", "--out", str(tmp_path)])
    rows = json.loads((tmp_path / "agreement.json").read_text())["rows"]
    assert [row["what"] for row in rows] == [*agreement.LARGEST]
    assert all(row["within"] and row["repeats_to_the_bit"] and not row["largest_difference"] for row in rows)
    assert "| marginals of the lattice |" in (tmp_path / "agreement.md").read_text()


def test_what_is_beyond_its_tolerance_ends_in_an_error(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import agreement

    one = np.array([0.6, 0.4], np.float32).reshape(2, 1, 1)
    near, far = (agreement.judged("probabilities", [one], [one + step]) for step in (5e-4, 2e-3))
    other = agreement.judged("probabilities", [one], [one[::-1]])
    assert near["within"] and not far["within"]
    assert other["same_labels"] == 0 and not other["within"]
    monkeypatch.setattr(agreement, "compare", lambda *_: [near, far])
    with pytest.raises(SystemExit, match="beyond its tolerance: probabilities"):
        agreement.main([str(images), "--out", str(tmp_path)])
    assert "| **no** |" in (tmp_path / "agreement.md").read_text()


def test_steps_of_the_trainings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import training

    all_of_them = training.trainings(None, None)
    assert {name: each.size for name, each in all_of_them.items()} == {
        "localization": (15, 224, 224),
        "segmenter": (1, 192, 256),
        "generator": (16, 320, 320),
        "final": (16, 320, 320),
        "patches": (9, 95, 95),
    }
    made = {name: each for name, each in training.trainings(32, 1).items() if name in ("final", "patches")}
    monkeypatch.setattr(training, "trainings", lambda *_: made)
    small = ["--backbone", "resnet18", "--steps", "2", "--size", "32", "--batch", "1"]
    training.main([*small, "--out", str(tmp_path)])
    found = json.loads((tmp_path / "training.json").read_text())
    assert found["seconds_a_step"]["final"] == found["rows"]["final"]["bf16"] > 0
    assert found["seconds_a_step"]["patches"] == found["rows"]["patches"]["float32"]
    assert not any(found["refusals"].values()) and not torch.are_deterministic_algorithms_enabled()
    assert found["machine"]["command"].endswith("training.py " + " ".join(small))
    assert "| final | 1 x 32 x 32 |" in (tmp_path / "training.md").read_text()


@pytest.mark.long
@pytest.mark.parametrize("name", ["localization", "segmenter", "generator"])
def test_further_trainings_step(name: str) -> None:
    import training

    found = training.compare({name: training.trainings(32, 1)[name]}, "resnet18", steps=2)
    assert found["seconds_a_step"][name] > 0


def test_the_crf_of_a_device_beside_a_core(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import crf_device

    monkeypatch.setattr(crf_device, "single_core", lambda: None)
    chosen = ["--photographs", "2", "--rounds", "1", "--labels", "3"]
    crf_device.main([str(images), *chosen, "--out", str(tmp_path)])
    (row,) = json.loads((tmp_path / "crf_device.json").read_text())["rows"]
    core, device = row["seconds_an_image"].values()
    assert row["times_as_fast"] == pytest.approx(core / device)
    assert (row["pixels"], row["pixels_of_another_label"]) == (2 * 32 * 48, 0)
    assert "| 3 |" in (tmp_path / "crf_device.md").read_text()


def test_a_folder_without_photographs_is_refused(tmp_path: Path) -> None:
    import networks

    with pytest.raises(networks.InputError, match="no photographs"):
        networks.photographs(tmp_path, 2)
