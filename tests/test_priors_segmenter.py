"""The priors paper's segmenter through the real command line, on a small set of generated scenes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from fake_stages import forget_files

from wsss_lightning import pipeline
from wsss_lightning.cli import main
from wsss_lightning.data.masks import read_mask

SMALL = [
    "stages.shapes.train=8",
    "stages.shapes.val=3",
    "stages.shapes.size=64",
    "tuning.segmenter.steps=[3,1]",
    "trainer.accelerator=cpu",
    "runtime.progress=false",
    "runtime.processes=1",
    "priors.panels=2",
]


def plan(root: Path, *overrides: str) -> pipeline.Plan:
    return pipeline.plan([f"paths.root={root}", *SMALL, *overrides])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the finished row of foreground/background masks."""
    folder = tmp_path_factory.mktemp("runs")
    pipeline.run(plan(folder, "experiment=priors/foreground"))
    return folder


def test_the_command_line_runs_the_baseline(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = [f"paths.root={root}", *SMALL, "experiment=priors/tag_only"]
    monkeypatch.setattr("sys.argv", ["wsss", "run", *overrides])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code in (0, None)
    assert not list(root.rglob("*.ckpt")), "a finished stage keeps no optimiser state"
    written = Path(capsys.readouterr().out.split("written to")[1].strip().replace("\n", ""))
    assert 0 <= json.loads(written.read_text())["val/miou"] <= 1
    stages = plan(root, "experiment=priors/tag_only").stages
    assert all(stage.status() == "cached" for stage in stages.values())
    assert "masks" not in stages and "val_regions" not in stages
    assert "val/tag_ap" in (stages["segmenter"].record() or {})["metrics"]


def test_predictions_have_the_size_of_their_images_and_known_labels(root: Path) -> None:
    stages = plan(root, "experiment=priors/foreground").stages
    for name in ("predictions", "refined"):
        masks = sorted((stages[name].folder / "masks").glob("*.png"))
        assert len(masks) == 3
        for path in masks:
            mask = read_mask(path)
            assert mask.shape == (64, 64) and set(np.unique(mask)) <= set(range(9))


def test_the_figures_stages_follow_the_evaluation(root: Path) -> None:
    """Figure 10's curve, and images of Figures 7 and 8 that are not the same."""
    metrics = pipeline.run(plan(root, "experiment=priors/foreground", "result=trimap", "priors.trimap=[1,4]"))
    assert metrics.keys() == {"val/trimap", "val/trimap/1", "val/trimap/4"}
    shown = {}
    for result in ("successes", "failures"):
        planned = plan(root, "experiment=priors/foreground", f"result={result}", "priors.panels=1")
        shown[result] = pipeline.run(planned)["val/image_miou"]
        (panel,) = (planned.final.folder / "panels").iterdir()
        assert {path.stem for path in panel.iterdir()} == {"image", "truth", "before_crf", "prediction"}
    assert shown["successes"] > shown["failures"]


def test_with_the_training_masks_deleted_every_row_gives_the_same_numbers(root: Path, tmp_path: Path) -> None:
    shapes = plan(root, "experiment=priors/foreground").stages["shapes"].folder
    shutil.copytree(shapes, tmp_path / "store" / shapes.name)
    removed = list((tmp_path / "store" / shapes.name / "SegmentationClass").glob("train_*.png"))
    for path in removed:
        path.unlink()
    shutil.rmtree(tmp_path / "store" / shapes.name / "Parts")
    forget_files(tmp_path / "store")
    assert len(removed) == 8
    with_masks = pipeline.run(plan(root, "experiment=priors/foreground"))
    without = pipeline.run(plan(tmp_path, "experiment=priors/foreground"))
    assert without == pytest.approx(with_masks, nan_ok=True)


def test_the_field_of_view_is_another_network(root: Path) -> None:
    small, large = (plan(root, f"experiment=priors/fusion_regions{name}").stages for name in ("_small", ""))
    kernels = [stages["segmenter"].node["network"]["fc6_kernel"] for stages in (small, large)]
    assert kernels == [2, 3]
    assert small["masks"].key == large["masks"].key


def test_heads_on_a_frozen_trunk_learn_from_the_maps_of_method_cam(root: Path) -> None:
    overrides = ["experiment=priors/fusion", "ablation=[priors/frozen,priors/peaks,priors/constant,priors/pixels]"]
    planned = plan(root, *overrides, "tuning.localization.steps=[3,1]", "runtime.processes=1")
    metrics = pipeline.run(planned)
    assert 0 <= metrics["val/miou"] <= 1
    stages = planned.stages
    figures = {
        name: (stages[name].record() or {})["metrics"] for name in ("localization", "cams", "masks", "segmenter")
    }
    assert figures["cams"].keys() == figures["masks"].keys() == {"train/empty"}
    assert {"train/loss", "val/tag_ap"} <= figures["localization"].keys() & figures["segmenter"].keys()
    scenes = [override for override in SMALL if override.startswith(("stages", "trainer", "runtime"))]
    cam = pipeline.plan([f"paths.root={root}", *scenes, "method=cam", "tuning.stride=16"])
    assert cam.stages["maps"].key == stages["maps"].key and cam.stages["val_maps"].key == stages["val_maps"].key
    known = plan(root, *overrides, "tuning.localization.steps=[3,1]", "result=evaluation_masks")
    assert 0 <= pipeline.run(known)["val/miou"] <= 1


def test_the_last_block_alone_may_learn(root: Path) -> None:
    planned = plan(root, "experiment=priors/tag_only", "ablation=priors/last", "result=segmenter")
    assert pipeline.run(planned)["train/loss"] > 0 and "maps" not in planned.stages
    description = json.loads((planned.stages["segmenter"].folder / "model.json").read_text())
    assert description["module"]["network"]["trunk"] == "last"
