"""The benchmark programs at toy size: they run, and their pages are written."""

import json
from pathlib import Path

import pytest

from wsss_lightning.nn.vgg import VGG

FOLDER = Path(__file__).parents[2] / "experiments" / "speed"


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr("measurement._MATMUL", 16)
    monkeypatch.setattr("measurement._COPIED", 1024)


def test_points_on_an_image(tmp_path: Path) -> None:
    import points
    from points_images import images

    network = VGG(widths=(4, 6, 8, 8, 8), fc6_kernel=2, hidden=10, num_classes=5)
    found = images(network, size=(64, 96), hidden=6, k=4, rounds=2)
    assert found["sampling"]["points"] == 12 and found["sampling"]["same_points"]
    assert found["sampling"]["largest_difference"] < 1e-5
    assert all(row["peak_bytes"] > 0 and row["rounds"] == 2 for row in found["rows"].values())
    points.write(tmp_path, "points_images", found | {"machine": points.machine("test")}, points._on_images(found))
    assert json.loads((tmp_path / "points_images.json").read_text())["grid"] == [16, 24]
    assert "| sampling: ColumnSimilarity |" in (tmp_path / "points_images.md").read_text()


def test_training_the_point_classifier(tmp_path: Path) -> None:
    import points
    from points_classifier import Setting, classifier, on_device, random_bank

    setting = Setting(images=5, points_per_image=6, own=7, shared=3, hidden=4, labels=3, batch=4)
    found = classifier(setting, steps=4, rounds=1, whole=True)
    assert found["setting"]["steps"] == 14
    assert found["rows"]["part: forward and backward"]["operations"] == 4 * (2 * 2 * 10 * 4 + 3 * 2 * 4 * 3)
    found["cuda"] = on_device(random_bank(setting), setting, rounds=1, device="cpu")
    points.write(
        tmp_path, "points_classifier", found | {"machine": points.machine("test")}, points._on_classifier(found)
    )
    page = (tmp_path / "points_classifier.md").read_text()
    assert "30 points" in page and "| training: bare loop on cpu, Adam(fused=True) |" in page


def test_the_command_is_told_without_folders() -> None:
    import points

    assert points._command(["--only", "images", "--out", "/a/b"]).endswith("points.py --only images")
    assert points._command(["--out=/a/b", "--whole"]).endswith("points.py --whole")
