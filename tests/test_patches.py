"""The patches paper through the real command line, on a few generated pictures and scenes."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_stages import forget_files

from wsss_lightning import pipeline
from wsss_lightning.cli import main
from wsss_lightning.data.masks import read_mask

SMALL = [
    "stages.shapes.train=6",
    "stages.shapes.val=4",
    "stages.shapes.size=64",
    "stages.shapes_web.per_class=2",
    "stages.shapes_web.size=64",
    "tuning.size=[64,64]",
    "tuning.steps=[2,2]",
    "tuning.lse1.patches=1",
    "tuning.lse2.patches=1",
    "patches.mining.most=20",
    "trainer.accelerator=cpu",
    "runtime.progress=false",
    "runtime.processes=1",
    "patches.panels=1",
]
TARGET = 3  # of check_brick, which stands in for cats, in masks


def plan(root: Path, row: str, *overrides: str) -> pipeline.Plan:
    return pipeline.plan([f"paths.root={root}", *SMALL, f"experiment=patches/{row}", *overrides])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the finished row of LSE1."""
    folder = tmp_path_factory.mktemp("runs")
    pipeline.run(plan(folder, "lse1"))
    return folder


def test_the_command_line_scores_every_pixel_by_itself(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["wsss", "run", f"paths.root={root}", *SMALL, "experiment=patches/pixels"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code in (0, None)
    assert not list(root.rglob("*.ckpt")), "a finished stage keeps no optimiser state"
    written = Path(capsys.readouterr().out.split("written to")[1].strip().replace("\n", ""))
    assert json.loads(written.read_text()).keys() == {"val/ap", "val/foreground", "val/background"}
    stages = plan(root, "pixels").stages
    assert all(stage.status() == "cached" for stage in stages.values())
    assert {"val/tag_ap", "val/tag_accuracy"} <= (stages["second_round"].record() or {})["metrics"].keys()


def test_masks_are_of_one_class_and_pictures_show_how_they_came_about(root: Path) -> None:
    planned = plan(root, "lse1")
    masks = sorted((planned.stages["masks"].folder / "masks").glob("*.png"))
    assert len(masks) == 4
    for path in masks:
        mask = read_mask(path)
        assert mask.shape == (64, 64) and set(np.unique(mask)) <= {0, TARGET}
    (panel,) = (planned.final.folder / "panels").iterdir()
    assert {path.stem for path in panel.iterdir()} == {"image", "truth", "prediction", "inference"}


def test_rows_share_what_they_do_not_change(root: Path) -> None:
    def to_run(row: str, *overrides: str) -> set[str]:
        stages = plan(root, row, *overrides).stages
        return {name for name, stage in stages.items() if stage.status() != "cached"}

    assert to_run("fixed_threshold") == {"masks", "preview", "evaluation"}
    assert to_run("max1") >= {"first_round", "second_round"} and "shapes_web" not in to_run("max1")
    assert not {"first_round", "shapes"} & to_run("one_round")
    assert to_run("lse1", "patches.target=dog") >= {"first_round"}


def test_a_network_per_class_is_trained_on_pictures_of_its_class(root: Path) -> None:
    cat, dog = (plan(root, "lse1", f"patches.target={name}").stages["first_round"].node for name in ("cat", "dog"))
    assert (cat["target"], dog["target"]) == ("check_brick", "net_star")
    assert plan(root, "lse1", "patches.target=ray_tent").stages["first_round"].node["target"] == "ray_tent"
    assert cat["source"]["_target_"].endswith("WebDataModule")


def test_with_the_masks_of_train_deleted_a_fixed_threshold_gives_the_same_numbers(root: Path, tmp_path: Path) -> None:
    for name in ("shapes", "shapes_web"):
        folder = plan(root, "lse1").stages[name].folder
        shutil.copytree(folder, tmp_path / "store" / folder.name)
    shapes = tmp_path / "store" / plan(root, "lse1").stages["shapes"].folder.name
    removed = list((shapes / "SegmentationClass").glob("train_*.png"))
    for path in removed:
        path.unlink()
    for folder in (shapes / "Parts", *(tmp_path / "store").glob("shapes_web-*/SegmentationClass")):
        shutil.rmtree(folder)
    forget_files(tmp_path / "store")
    assert len(removed) == 6
    with_masks, without = (
        pipeline.run(plan(store, "fixed_threshold", "patches.threshold=0.5")) for store in (root, tmp_path)
    )
    assert without == pytest.approx(with_masks, nan_ok=True)
    with pytest.raises(Exception, match="does not exist"):
        pipeline.run(plan(tmp_path, "lse1"))


def test_classification_and_the_curve_of_thresholds(root: Path) -> None:
    metrics = pipeline.run(plan(root, "lse1", "result=classification"))
    assert metrics.keys() == {"val/classified", "val/classified_balanced", "val/tag_ap"}
    curve = (plan(root, "lse1").stages["threshold"].record() or {})["metrics"]
    assert len([name for name in curve if name.startswith("train/ap/")]) == 49
    assert curve["train/ap"] == max(value for name, value in curve.items() if name.startswith("train/ap/"))
    assert curve[f"train/ap/{curve['train/threshold']:g}"] == curve["train/ap"]


def test_another_source_is_the_training_images_of_the_data_set_or_imagenet(root: Path, tmp_path: Path) -> None:
    def first_round(*overrides: str) -> dict[str, Any]:
        planned = pipeline.plan(["method=patches", "result=first_round", f"paths.root={root}", *overrides])
        assert "shapes_web" not in planned.stages
        return planned.final.node

    assert first_round("source=same")["source"]["_target_"].endswith("VOCDataModule")
    voc = ["data=voc", f"data.root={tmp_path}", "data.train_list=train"]
    short, longer = (first_round(*voc, f"source={name}")["source"] for name in ("same", "augmented"))
    assert (short["train_list"], longer["train_list"]) == ("train", "train_aug")
    assert short["root"] == longer["root"]
    imagenet = first_round("data=voc", "source=imagenet", f"source.root={tmp_path}", "backbone=lse")
    assert imagenet["target"] == "cat" and imagenet["source"]["_target_"].endswith("CatDogDataModule")
    assert (imagenet["rate"], imagenet["batch_size"], imagenet["patches"]) == (0.001, 1, 9)
