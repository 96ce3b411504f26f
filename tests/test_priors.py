"""The priors paper's masks through the real command line, on a small set of generated scenes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from fake_stages import forget_files

from wsss_lightning import pipeline
from wsss_lightning.cli import main
from wsss_lightning.data.images import image_size
from wsss_lightning.data.masks import read_mask

SMALL = [
    "stages.shapes.train=6",
    "stages.shapes.val=2",
    "stages.shapes.size=64",
    "tuning.localization.size=[64,64]",
    "tuning.localization.frame=[72,72]",
    "tuning.localization.steps=[3,2]",
    "trainer.accelerator=cpu",
    "runtime.progress=false",
    "runtime.processes=1",
    "priors.panels=1",
]
ROWS = ("foreground", "foreground_regions", "localization", "localization_regions", "fusion", "fusion_regions")
SHARED = {"shapes", "activations", "localization", "cams", "regions"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which the multi-class masks of val images, and all that they need, are finished."""
    folder = tmp_path_factory.mktemp("runs")
    pipeline.run(plan(folder, "fusion_regions", result="masks"))
    return folder


def plan(root: Path, row: str, *overrides: str, result: str) -> pipeline.Plan:
    return pipeline.plan([f"paths.root={root}", *SMALL, f"experiment=priors/{row}", f"result={result}", *overrides])


def test_the_command_line_scores_masks_of_known_tags(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Table 5, with the pictures of Figures 3 to 6."""
    overrides = ["experiment=priors/fusion_regions", "result=evaluation_masks", "card.tags_at_inference=true"]
    monkeypatch.setattr("sys.argv", ["wsss", "run", f"paths.root={root}", *SMALL, *overrides])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code in (0, None)
    written = Path(capsys.readouterr().out.split("written to")[1].strip().replace("\n", ""))
    assert 0 <= json.loads(written.read_text())["val/miou"] <= 1
    planned = plan(root, "fusion_regions", "card.tags_at_inference=true", result="evaluation_masks")
    assert planned.final.status() == "cached" and planned.final.record()["card"]["tags_at_inference"] is True
    (panel,) = (planned.final.folder / "panels").iterdir()
    names = {"image", "truth", "prediction", "activations", "probabilities", "smoothing"}
    assert {path.stem for path in panel.iterdir()} == names
    height, width = image_size(panel / "activations.png")
    assert height > 2 * 64 and width > 3 * 64


@pytest.mark.parametrize("row", ROWS)
def test_rows_share_all_stages_but_their_masks(root: Path, row: str) -> None:
    planned = plan(root, row, result="judged_masks")
    to_run = {name for name, stage in planned.stages.items() if stage.status() != "cached"}
    assert to_run <= {"masks", "judged_masks"}
    kinds = {"foreground": {"activations"}, "localization": {"localization", "cams"}}
    needed = kinds.get(row.removesuffix("_regions"), SHARED - {"regions", "shapes"})
    assert planned.stages.keys() & (SHARED - {"shapes", "regions"}) == needed
    assert ("regions" in planned.stages) == row.endswith("_regions")
    metrics = pipeline.run(planned)
    assert 0 <= metrics["train/miou"] <= 1
    assert ("train/iou/foreground" in metrics) == row.startswith("foreground")
    masks = sorted((planned.stages["masks"].folder / "masks").glob("*.png"))
    assert len(masks) == 6
    for path in masks:
        assert set(np.unique(read_mask(path))) <= set(range(2 if row.startswith("foreground") else 9))


def test_with_the_training_masks_deleted_every_row_gives_the_same_masks(root: Path, tmp_path: Path) -> None:
    shapes = plan(root, "fusion", result="masks").stages["shapes"].folder
    shutil.copytree(shapes, tmp_path / "store" / shapes.name)
    shutil.rmtree(tmp_path / "store" / shapes.name / "SegmentationClass")
    shutil.rmtree(tmp_path / "store" / shapes.name / "Parts")
    forget_files(tmp_path / "store")
    for row in ("foreground", "fusion"):
        folders = []
        for store in (root, tmp_path):
            planned = plan(store, row, result="masks")
            pipeline.run(planned)
            folders.append(planned.stages["masks"].folder / "masks")
        ours, theirs = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
        assert ours == theirs and len(ours) == 6


def test_a_tenth_of_the_training_images(root: Path) -> None:
    """Table 4 judges masks of randomly chosen images."""
    planned = plan(root, "foreground_regions", "stages.judged_masks.share=0.34", result="judged_masks")
    pipeline.run(planned)
    images = json.loads((planned.final.folder / "images.json").read_text())
    assert len(images) == 2


def test_maps_are_compared_with_the_objects(root: Path) -> None:
    """Figure 9."""
    planned = plan(root, "fusion_regions", result="judged_cams")
    metrics = pipeline.run(planned)
    assert 0 <= metrics["train/cam_on_object"] <= 1 and "train/cam_elsewhere/net_star" in metrics
    assert len(list((planned.final.folder / "panels").glob("*/average_*.png"))) == 16
