"""The points paper's pipeline through the real command line, on a small set of generated scenes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from wsss_lightning import pipeline
from wsss_lightning.cli import main
from wsss_lightning.data.masks import read_mask

SMALL = [
    "stages.shapes.train=32",
    "stages.shapes.val=4",
    "backbone.points.localizer.hidden=16",
    "backbone.points.classifier.steps=30",
    "trainer.accelerator=cpu",
    "runtime.progress=false",
    "points.panels=2",
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which the sampling ablation's shared stages are finished."""
    folder = tmp_path_factory.mktemp("runs")
    pipeline.run(plan(folder, "experiment=points/diverse"))
    return folder


def plan(root: Path, *overrides: str) -> pipeline.Plan:
    return pipeline.plan([f"paths.root={root}", *SMALL, *overrides])


def test_the_command_line_runs_the_paper_with_a_crf(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = [f"paths.root={root}", *SMALL, "experiment=points/diverse_crf"]
    monkeypatch.setattr("sys.argv", ["wsss", "run", *overrides])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code in (0, None)
    output = capsys.readouterr().out
    assert "val/miou" in output
    written = Path(output.split("written to")[1].strip().replace("\n", ""))
    metrics = json.loads(written.read_text())
    assert 0 <= metrics["val/miou"] <= 1
    assert all(stage.status() == "cached" for stage in plan(root, "experiment=points/diverse_crf").stages.values())


@pytest.mark.parametrize("sampling", ["dense", "spatial", "top"])
def test_the_other_samplings_share_all_stages_but_their_own(root: Path, sampling: str) -> None:
    planned = plan(root, f"experiment=points/{sampling}")
    cached = {name for name, stage in planned.stages.items() if stage.status() == "cached"}
    assert cached >= {"shapes", "features", "localizers", "scores"}
    assert 0 <= pipeline.run(planned)["val/miou"] <= 1


def test_predictions_have_the_size_of_their_images_and_known_labels(root: Path) -> None:
    planned = plan(root, "experiment=points/diverse")
    masks = sorted((planned.stages["predictions"].folder / "masks").glob("*.png"))
    assert len(masks) == 4
    for path in masks:
        mask = read_mask(path)
        assert mask.shape == (128, 128)
        assert set(np.unique(mask)) <= set(range(9))


def test_evaluation_holds_what_a_report_shows(root: Path) -> None:
    folder = plan(root, "experiment=points/diverse").final.folder
    confusion = np.load(folder / "confusion.npy")
    assert confusion.shape == (4, 9, 9)
    panels = list((folder / "panels").iterdir())
    assert len(panels) == 2
    assert {p.name for p in panels[0].iterdir()} == {
        "image.png",
        "points.png",
        "prediction.png",
        "scores.png",
        "truth.png",
    }


def test_with_the_training_masks_deleted_every_row_gives_the_same_numbers(root: Path, tmp_path: Path) -> None:
    """Weak supervision by construction: only the scenes are kept, and of their masks only those of val."""
    shapes = plan(root).stages["shapes"].folder
    shutil.copytree(shapes, tmp_path / "store" / shapes.name)
    removed = list((tmp_path / "store" / shapes.name / "SegmentationClass").glob("train_*.png"))
    for path in removed:
        path.unlink()
    shutil.rmtree(tmp_path / "store" / shapes.name / "Parts")
    assert len(removed) == 32
    for sampling in ("dense", "spatial", "top", "diverse"):
        with_masks = pipeline.run(plan(root, f"experiment=points/{sampling}"))
        without = pipeline.run(plan(tmp_path, f"experiment=points/{sampling}"))
        assert without == pytest.approx(with_masks, nan_ok=True)


def test_random_weights_and_a_resnet_run_too(tmp_path: Path) -> None:
    overrides = [
        "backbone=resnet18",
        "backbone.weights=null",
        "data.size=[64,64]",
        "backbone.points.classifier.steps=5",
    ]
    metrics = pipeline.run(plan(tmp_path, *overrides, "backbone.points.localizer.hidden=8"))
    assert "val/iou/background" in metrics
