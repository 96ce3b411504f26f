"""The points paper's pipeline through the real command line, on a small set of generated scenes."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_data import write_coco
from fake_stages import forget_files
from PIL import Image

from wsss_lightning import load, pipeline
from wsss_lightning.cli import main
from wsss_lightning.data.images import read_image
from wsss_lightning.data.masks import colorize, read_mask
from wsss_lightning.errors import InputError
from wsss_lightning.methods.points.stages.features import read_backbone
from wsss_lightning.methods.points.stages.point_data import PointBank
from wsss_lightning.nn.vgg import tiny
from wsss_lightning.stages.io import read_tensors

SMALL = [
    "stages.shapes.train=32",
    "stages.shapes.val=4",
    "tuning.localizer.hidden=16",
    "tuning.classifier.steps=30",
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
    assert not list(root.rglob("*.ckpt")), "a finished stage keeps no optimiser state"
    output = capsys.readouterr().out
    assert "val/miou" in output
    written = Path(output.split("written to")[1].strip().replace("\n", ""))
    metrics = json.loads(written.read_text())
    assert 0 <= metrics["val/miou"] <= 1
    planned = plan(root, "experiment=points/diverse_crf")
    assert all(stage.status() == "cached" for stage in planned.stages.values())
    panel = next((planned.final.folder / "panels").iterdir())
    own = {"image", "truth", "thresholded", "before_crf", "prediction"}  # Figure 4
    assert {path.stem for path in panel.iterdir()} == own | {"scores", "points", "steps"}
    for name, stage in {"thresholded": "thresholded", "before_crf": "predictions", "prediction": "refined"}.items():
        mask = read_mask(planned.stages[stage].folder / "masks" / f"{panel.name}.png")
        assert np.array_equal(read_image(panel / f"{name}.png"), colorize(mask))


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
        "steps.png",
        "truth.png",
    }


def test_only_rows_of_diverse_sampling_draw_its_steps(root: Path) -> None:
    for experiment, drawn in (("diverse", True), ("top", False)):
        planned = plan(root, f"experiment=points/{experiment}")
        pipeline.run(planned)
        panels = list((planned.final.folder / "panels").iterdir())
        assert [(panel / "steps.png").exists() for panel in panels] == [drawn] * 2


def test_with_the_training_masks_deleted_every_row_gives_the_same_numbers(root: Path, tmp_path: Path) -> None:
    """Weak supervision by construction: only the scenes are kept, and of their masks only those of val."""
    shapes = plan(root).stages["shapes"].folder
    shutil.copytree(shapes, tmp_path / "store" / shapes.name)
    removed = list((tmp_path / "store" / shapes.name / "SegmentationClass").glob("train_*.png"))
    for path in removed:
        path.unlink()
    shutil.rmtree(tmp_path / "store" / shapes.name / "Parts")
    forget_files(tmp_path / "store")
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
        "tuning.classifier.steps=5",
    ]
    metrics = pipeline.run(plan(tmp_path, *overrides, "tuning.localizer.hidden=8"))
    assert "val/iou/background" in metrics


KNOWN, ADDED = "check_brick,ring_brick,ray_tent", "dot_egg,net_star"


def test_a_class_is_added_without_touching_the_others(root: Path) -> None:
    """Sec. 4.3: every stage of the known classes is cached, and the localizers are those of one joint training."""
    pipeline.run(plan(root, "experiment=points/diverse", f"data.classes=[{KNOWN}]"))
    grown = plan(root, "experiment=points/add_class", f"data.classes=[{KNOWN}]", f"points.added=[{ADDED}]")
    to_run = [name for name, stage in grown.stages.items() if stage.status() != "cached"]
    assert to_run and all(name.startswith(("added_", "all_", "grown_")) for name in to_run)
    metrics = pipeline.run(grown)
    assert {"val/miou/known", "val/miou/added"} <= metrics.keys()
    joint = plan(root, "result=localizers", f"data.classes=[{KNOWN},{ADDED}]")
    pipeline.run(joint)
    both = (joint.stages["localizers"], grown.stages["all_localizers"])
    together, apart = (load(stage.folder).state_dict() for stage in both)
    assert together.keys() == apart.keys()
    assert all(torch.equal(value, apart[name]) for name, value in together.items())


def test_images_that_show_an_added_class_are_sampled_again_and_replace_the_old_points(root: Path) -> None:
    grown = plan(root, "experiment=points/add_class", f"data.classes=[{KNOWN}]", f"points.added=[{ADDED}]")
    pipeline.run(grown)
    again, known = (grown.stages[name].folder for name in ("added_points", "points"))
    replaced = {path.name for path in again.glob("*.safetensors")}
    assert replaced and {path.name for path in known.glob("*.safetensors")} - replaced
    bank = PointBank.read([known, again], global_features=False)
    assert {4, 5} <= set(bank.labels.tolist()) <= set(range(6))
    stored = [read_tensors(again / name)["labels"] for name in sorted(replaced)]
    assert sum(map(len, stored)) < len(bank.labels)
    assert not {4, 5} & set(PointBank.read([known], global_features=False).labels.tolist())


def test_score_maps_can_be_the_segmentation(root: Path) -> None:
    """With a threshold above every score all is background, which is the floor of every table."""
    everything = pipeline.run(plan(root, "experiment=points/direct", "points.threshold=0"))
    nothing = pipeline.run(plan(root, "experiment=points/direct", "points.threshold=1e6"))
    floor = pipeline.run(plan(root, "experiment=points/floor"))
    assert nothing == pytest.approx(floor, nan_ok=True)
    assert everything["val/iou/background"] == 0


def test_points_are_judged_by_the_masks_of_the_training_images(root: Path) -> None:
    judged = pipeline.run(plan(root, "experiment=points/diverse", "result=judged"))
    assert 0 <= judged["train/points/right"] <= 1
    places = [judged[f"train/points/on_{name}"] for name in ("body", "part", "thin")]
    assert sum(places) == pytest.approx(1)
    truth = pipeline.run(
        plan(root, "experiment=points/ceiling", "result=judged", "stages.judged.points=${artifact:truth}")
    )
    assert truth["train/points/right"] == 1


def test_added_classes_may_come_from_another_data_set(root: Path, tmp_path: Path) -> None:
    """Sec. 4.3 as the paper has it: the added classes are tagged in COCO alone."""
    write_coco(tmp_path / "coco", train=8)
    source = ["+data@added_data=coco", f"added_data.root={tmp_path / 'coco'}", "points.added=[bus,train]"]
    same = [
        "added_data.size=[128,128]",
        "points.added_data='${added_data}'",
        "points.added_features='${artifact:added_features}'",
    ]
    grown = plan(root, "experiment=points/add_class", f"data.classes=[{KNOWN}]", *source, *same)
    old = plan(root, "experiment=points/diverse", f"data.classes=[{KNOWN}]")
    assert all(grown.stages[name].key == old.stages[name].key for name in ("features", "localizers", "points"))
    metrics = pipeline.run(grown)
    assert not metrics["val/iou/bus"] > 0  # no scene shows one
    bank = PointBank.read([grown.stages["added_points"].folder], global_features=False)
    assert set(bank.labels.tolist()) == {0, 4, 5}
    annotations = tmp_path / "coco" / "annotations" / "instances_train2014.json"
    annotations.write_text(annotations.read_text() + " ")
    changed = plan(root, "experiment=points/add_class", f"data.classes=[{KNOWN}]", *source, *same)
    assert changed.stages["added_localizers"].key != grown.stages["added_localizers"].key


def test_the_backbone_can_be_fine_tuned_on_the_points(root: Path) -> None:
    planned = plan(root, "experiment=points/fine_tuned", "points.fine_tuning={rate:1e-4,steps:3,images:4}")
    metrics = pipeline.run(planned)
    assert 0 <= metrics["val/miou"] <= 1
    folder = planned.stages["tuned"].folder
    before = tiny(pipeline.compose([]).backbone.weights, 20)
    after = read_backbone(model=str(folder))
    moved = [not torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True)]
    assert sum(moved) >= 26  # every convolution's weight and bias; fc8 is not used
    again = pipeline.rerun(folder / "stage.json", out_dir=folder.with_name("again"))
    assert again == planned.stages["tuned"].record()["metrics"]
    one, other = (place / "model.safetensors" for place in (folder, folder.with_name("again")))
    assert one.read_bytes() == other.read_bytes()


def test_a_class_without_an_image_is_named_before_anything_is_computed(tmp_path: Path) -> None:
    (tmp_path / "own" / "images").mkdir(parents=True)
    for name in ("a", "b"):
        Image.new("RGB", (64, 64)).save(tmp_path / "own" / "images" / f"{name}.png")
    (tmp_path / "own" / "tags.csv").write_text("image,tags\na.png,cat\nb.png,cat\n")
    own = ["data=folder", f"data.root={tmp_path / 'own'}", "data.names=[cat,horse]", "data.val_list=null"]
    planned = pipeline.plan(
        [f"paths.root={tmp_path / 'runs'}", "method=points", "data.size=[96,96]", *own, "result=localizers"]
    )
    with pytest.raises(InputError, match="is tagged horse"):
        pipeline.run(planned)
    assert not any((tmp_path / "runs").rglob("stage.json"))


def test_features_that_are_not_stored_teach_the_same(root: Path) -> None:
    planned = plan(root, "experiment=points/diverse", "ablation=points/recomputed", "result=localizers")
    stored = plan(root, "experiment=points/diverse").stages
    assert pipeline.run(planned)["val/tag_ap"] == pytest.approx(
        stored["localizers"].record()["metrics"]["val/tag_ap"], abs=0.05
    )
    sizes = [
        sum(path.stat().st_size for path in stages["features"].folder.rglob("*/*.safetensors"))
        for stages in (planned.stages, stored)
    ]
    assert sizes[0] < 0.1 * sizes[1]


def test_a_training_that_diverges_ends_with_the_images_and_leaves_no_result(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    diverging = ["experiment=points/diverse", "tuning.classifier.rate=1e30", "result=classifier"]
    monkeypatch.setattr("sys.argv", ["wsss", "run", f"paths.root={root}", *SMALL, *diverging])
    with pytest.raises(SystemExit) as stop:
        main()
    assert re.match(r"wsss: point classifier: the loss is not finite at step \d+ \(images \w+, ", str(stop.value.code))
    assert plan(root, *diverging).final.status() == "half done"
    assert not {"model.safetensors", "last.ckpt"} & {
        path.name for path in plan(root, *diverging).final.folder.iterdir()
    }
