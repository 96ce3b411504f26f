"""The coseg paper's networks through the real command line, on a small set of generated scenes and pictures.

Masks of the pictures are the true ones, roughened: co-segmentation has its own tests.
"""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_stages import forget_files

from wsss_lightning import pipeline
from wsss_lightning.cli import main
from wsss_lightning.data.masks import read_mask, write_mask
from wsss_lightning.data.shapes import CLASSES

SMALL = [
    "stages.shapes.train=8",
    "stages.shapes.val=3",
    "stages.shapes.size=64",
    "stages.shapes_web.per_class=2",
    "stages.shapes_web.size=64",
    "tuning.crop=[48,48]",
    "tuning.generator.steps=[4,1]",
    "tuning.final.steps=[3,1]",
    "tuning.snapshot_every=2",
    "trainer.accelerator=cpu",
    "runtime.progress=false",
    "runtime.processes=1",
    "coseg.panels=2",
]
ROWS = ("generator", "simple", "multi_label", "full", "branch_apart", "epoch_on_val", "ceiling")


@pytest.fixture(scope="module")
def masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What co-segmentation would leave of the generated pictures; one of them is dropped."""
    folder = tmp_path_factory.mktemp("cosegmentation")
    planned = pipeline.plan([f"paths.root={folder}", *SMALL, "experiment=coseg/full", "result=shapes_web"])
    pipeline.run(planned)
    for path in sorted((planned.final.folder / "SegmentationClass").glob("*.png"))[1:]:
        label = CLASSES.index(path.stem.rpartition("_")[0]) + 1
        rough = cv2.dilate((read_mask(path) == label).astype(np.uint8), np.ones((3, 3), np.uint8))
        write_mask(folder / "masks" / path.name, rough * np.uint8(label))
    return folder / "masks"


def overrides(masks: Path, *more: str) -> list[str]:
    given = [f"stages.{name}.masks=${{folder:{masks}}}" for name in ("generator", "generator_tuned")]
    return [*SMALL, *given, *more]


def plan(root: Path, masks: Path, *more: str) -> pipeline.Plan:
    return pipeline.plan([f"paths.root={root}", *overrides(masks, *more)])


@pytest.fixture(scope="module")
def root(masks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with finished rows of Table 3."""
    folder = tmp_path_factory.mktemp("runs")
    for row in ("generator", "multi_label"):
        assert 0 <= pipeline.run(plan(folder, masks, f"experiment=coseg/{row}"))["val/miou"] <= 1
    return folder


@pytest.fixture(scope="module")
def plans(root: Path, masks: Path) -> dict[str, pipeline.Plan]:
    """Every experiment, planned."""
    return {row: plan(root, masks, f"experiment=coseg/{row}") for row in ROWS}


def test_the_command_line_runs_the_whole_method(
    root: Path,
    masks: Path,
    plans: dict[str, pipeline.Plan],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["wsss", "run", f"paths.root={root}", *overrides(masks, "experiment=coseg/full")])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code in (0, None)
    assert not list(root.rglob("*.ckpt")), "a finished stage keeps no optimiser state"
    written = Path(capsys.readouterr().out.split("written to")[1].strip().replace("\n", ""))
    assert 0 <= json.loads(written.read_text())["val/miou"] <= 1
    stages = plans["full"].stages
    assert all(stage.status() == "cached" for stage in stages.values())
    metrics = (stages["generator"].record() or {})["metrics"]
    assert metrics["train/images"] == 15 and 0 <= metrics["val/tag_ap"] <= 1


def test_rows_share_the_generator_and_the_masks_that_it_makes(plans: dict[str, pipeline.Plan]) -> None:
    stages = {row: planned.stages for row, planned in plans.items()}
    assert len({stages[row]["labels"].key for row in ("simple", "multi_label", "full", "branch_apart")}) == 1
    assert stages["multi_label"]["final"].key == stages["full"]["final"].key != stages["simple"]["final"].key
    assert stages["branch_apart"]["final"].key != stages["full"]["final"].key
    assert "final" not in stages["generator"] and "generator_tuned" in stages["epoch_on_val"]
    for row in ("generator", "multi_label"):
        assert all(stage.status() == "cached" for stage in stages[row].values())


def test_masks_of_the_target_hold_its_tags_and_no_other_class(
    root: Path, masks: Path, plans: dict[str, pipeline.Plan]
) -> None:
    planned = plans["full"]
    shapes, labels = planned.stages["shapes"].folder, planned.stages["labels"].folder
    found = sorted((labels / "masks").glob("*.png"))
    assert len(found) == 8
    for path in found:
        mask = read_mask(path)
        named = (shapes / "Annotations" / f"{path.stem}.xml").read_text()
        assert mask.shape == (64, 64)
        assert all(f"<name>{CLASSES[label - 1]}</name>" in named for label in set(np.unique(mask)) - {0})
    assert 0 <= pipeline.run(plan(root, masks, "experiment=coseg/full", "result=judged_labels"))["train/miou"] <= 1


def test_choosing_the_step_on_val_masks_is_said_on_the_card(plans: dict[str, pipeline.Plan]) -> None:
    planned = plans["epoch_on_val"]
    pipeline.run(planned)
    chosen = (planned.stages["generator_snapshot"].record() or {})["metrics"]
    assert chosen["step"] in (2, 4) and "val/miou" in chosen
    masks_of = (planned.final.record() or {})["card"]["masks_opened_by"]
    assert masks_of.startswith("generator_snapshot (") and masks_of.endswith(" of val)")
    for row, other in plans.items():
        opened = "generator_snapshot" in other.stages
        assert opened == ("val masks" in other.card["chosen_on"]) == (row == "epoch_on_val")


def test_with_the_training_masks_deleted_it_gives_the_same_numbers(
    masks: Path, plans: dict[str, pipeline.Plan], tmp_path: Path
) -> None:
    planned = plans["full"]
    shapes, web = (planned.stages[name].folder for name in ("shapes", "shapes_web"))
    for folder in (shapes, web):
        shutil.copytree(folder, tmp_path / "store" / folder.name)
    removed = list((tmp_path / "store" / shapes.name / "SegmentationClass").glob("train_*.png"))
    for path in removed:
        path.unlink()
    shutil.rmtree(tmp_path / "store" / web.name / "SegmentationClass")
    shutil.rmtree(tmp_path / "store" / shapes.name / "Parts")
    forget_files(tmp_path / "store")
    assert len(removed) == 8
    without = pipeline.run(plan(tmp_path, masks, "experiment=coseg/full"))
    assert without == pytest.approx(pipeline.run(planned), nan_ok=True)


def test_figures_3_and_4_follow_the_evaluation(root: Path, masks: Path) -> None:
    shown = {}
    for result in ("successes", "failures"):
        planned = plan(root, masks, "experiment=coseg/full", f"result={result}", "coseg.panels=1")
        shown[result] = pipeline.run(planned)["val/image_miou"]
        (panel,) = (planned.final.folder / "panels").iterdir()
        assert {path.stem for path in panel.iterdir()} == {"image", "truth", "prediction"}
    assert shown["successes"] > shown["failures"]


def test_scenes_with_a_single_tag_stand_in_for_the_web(
    root: Path, masks: Path, plans: dict[str, pipeline.Plan]
) -> None:
    """The generator learns from them, the final network from the others."""
    shapes, folder = plans["full"].stages["shapes"].folder, masks.parent / "single"
    single = {}
    for path in (shapes / "Annotations").glob("train_*.xml"):
        named = [label for label, name in enumerate(CLASSES, 1) if f"<name>{name}</name>" in path.read_text()]
        if len(named) == 1:
            single[path.stem] = named[0]
    for image_id, label in single.items():
        write_mask(folder / f"{image_id}.png", np.full((64, 64), label, np.uint8))
    small = [option for option in SMALL if "shapes_web" not in option]
    given = [
        f"paths.root={root}",
        f"stages.generator.masks=${{folder:{folder}}}",
        "experiment=coseg/simple",
        "result=final",
    ]
    planned = pipeline.plan([*small, *given, "source=single_tag"])
    assert pipeline.run(planned)["train/images"] == 8 - len(single)
    assert (planned.stages["generator"].record() or {})["metrics"]["train/images"] == len(single)
    assert "shapes_web" not in planned.stages and 0 < len(single) < 8


def test_a_frozen_trunk_needs_no_crops_and_the_ceiling_opens_true_masks(
    root: Path, masks: Path, plans: dict[str, pipeline.Plan]
) -> None:
    """Pictures and scenes are stored apart; with photographs of one data set they are the maps of `method=cam`."""
    short = ["tuning.frozen.generator.steps=2", "tuning.frozen.final.steps=3"]
    small = [option for option in SMALL if not option.startswith("tuning.")]
    given = [f"paths.root={root}", f"stages.generator.masks=${{folder:{masks}}}", "ablation=coseg/photographs"]
    planned = pipeline.plan([*small, *short, *given, "experiment=coseg/full"])
    assert {"maps", "source_maps", "val_maps"} <= planned.stages.keys()
    assert 0 <= pipeline.run(planned)["val/miou"] <= 1
    ceiling = pipeline.plan([*small, *short, *given, "experiment=coseg/ceiling"])
    assert {"maps", "truth"} <= ceiling.stages.keys() and "labels" not in ceiling.stages
    assert 0 <= pipeline.run(ceiling)["val/miou"] <= 1
    assert "(opened by truth, final)" in (ceiling.final.record() or {})["card"]["supervision"]
    scenes = [option for option in small if "shapes_web" not in option]
    shared = pipeline.plan([*scenes, *short, *given, "experiment=coseg/full", "source=photographs"])
    assert "source_maps" not in shared.stages and shared.stages["maps"].key == planned.stages["maps"].key


def test_rates_of_the_paper_are_an_ablation(root: Path, masks: Path, plans: dict[str, pipeline.Plan]) -> None:
    planned = plan(root, masks, "experiment=coseg/simple", "ablation=coseg/paper_rates")
    assert planned.stages["final"].key != plans["simple"].stages["final"].key
