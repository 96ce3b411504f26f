"""The plain method through the real command line, on generated scenes, and how well it fits what it is shown."""

from __future__ import annotations

import csv
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from wsss_lightning import pipeline
from wsss_lightning.cli import main
from wsss_lightning.data.masks import read_mask
from wsss_lightning.data.shapes import CLASSES
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.metrics.segmentation import confusion_matrix, mean_iou
from wsss_lightning.stages.predict import predict

SMALL = [
    "method=cam",
    "stages.shapes.train=40",
    "stages.shapes.val=8",
    "tuning.student.steps=80",
    "callbacks=val_curve",
    "callbacks.val_curve.times=4",
    "trainer.accelerator=cpu",
    "runtime.progress=false",
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which the method has run, labels by a threshold: dense CRFs cost most of the time."""
    folder = tmp_path_factory.mktemp("runs")
    pipeline.run(plan(folder))
    return folder


def plan(root: Path, *overrides: str) -> pipeline.Plan:
    return pipeline.plan([f"paths.root={root}", *SMALL, "ablation=cam/threshold", *overrides])


def opened(planned: pipeline.Plan) -> VOCDataModule:
    return VOCDataModule(
        root=planned.stages["shapes"].folder, names=CLASSES, train_list="train", mean=[0.5] * 3, std=[0.25] * 3
    )


def test_activation_maps_and_labels_beat_always_background_by_far(root: Path) -> None:
    planned = plan(root)
    data = opened(planned)
    targets = [torch.from_numpy(data.read_target(record)) for record in data.records("train")]
    empty = sum(confusion_matrix(torch.zeros_like(target), target, 9) for target in targets)
    assert isinstance(empty, torch.Tensor)
    cams = pipeline.run(plan(root, "result=judged_cams"))
    labels = pipeline.run(plan(root, "result=judged_labels"))
    assert cams["train/miou"] == pytest.approx(labels["train/miou"], abs=1e-3), "the same threshold, by two ways"
    assert cams["train/best_miou"] >= cams["train/miou"] > 3 * mean_iou(empty)


def test_wsss_evaluate_reads_our_activation_maps(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    planned = plan(root, "result=judged_cams")
    judged = pipeline.run(planned)
    cams, scenes = planned.stages["cams"].folder, planned.stages["shapes"].folder
    names = f"+data.names=[{','.join(CLASSES)}]"
    command = ["wsss", "evaluate", str(cams), "voc", "data.train_list=train", names, "--root", str(scenes)]
    written = ["--split", "train", "--json", str(tmp_path / "figures.json")]
    monkeypatch.setattr("sys.argv", [*command, *written])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code in (0, None)
    assert json.loads((tmp_path / "figures.json").read_text())["miou"] == judged["train/best_miou"]


def test_a_curve_ends_where_the_trained_network_is_scored_and_is_told(root: Path) -> None:
    planned = plan(root)
    (log,) = (planned.stages["student"].folder / "logs").rglob("metrics.csv")
    rows = [row for row in csv.DictReader(log.read_text().splitlines()) if row.get("val/miou")]
    assert [int(row["step"]) for row in rows] == [19, 39, 59, 79]
    assert float(rows[-1]["val/miou"]) == pytest.approx(pipeline.run(planned)["val/miou"], abs=1e-6)
    card = json.loads((planned.final.folder / "stage.json").read_text())["card"]
    assert card["masks_opened_by"] == "student (8 of val)" and card["supervision"] == "image tags"


def test_known_tags_and_a_crf_give_masks_of_their_own(root: Path) -> None:
    plain = pipeline.run(plan(root))["val/miou"]
    assert pipeline.run(plan(root, "result=evaluation_tagged"))["val/miou"] > plain
    refined = plan(root, "result=evaluation_crf")
    pipeline.run(refined)
    for record in opened(refined).records("val"):
        mask = read_mask(refined.stages["refined"].folder / "masks" / f"{record.image_id}.png")
        assert mask.shape == (128, 128) and set(np.unique(mask)) <= set(range(9))


def test_a_second_run_has_nothing_to_do_and_training_masks_are_not_needed(root: Path) -> None:
    assert all(stage.status() == "cached" for stage in plan(root).stages.values())


def test_a_student_of_true_masks_fits_them(root: Path, tmp_path: Path) -> None:
    """Overfitting: shown the masks of the training scenes long enough, it gives them back."""
    planned = plan(root, "ablation=cam/truth", "tuning.student.steps=300", "result=student")
    pipeline.run(planned)
    data = opened(planned)
    trainer = {"accelerator": "cpu", "devices": 1}
    run = {"workers": 0, "progress": False}

    predict(
        out_dir=str(tmp_path),
        data=data,
        model=str(planned.stages["student"].folder),
        split="train",
        trainer=partial(pl.Trainer, **trainer),  # type: ignore[arg-type]
        **run,  # type: ignore[arg-type]
    )
    total = torch.zeros(9, 9, dtype=torch.int64)
    for record in data.records("train"):
        mask = torch.from_numpy(read_mask(tmp_path / "masks" / f"{record.image_id}.png"))
        total += confusion_matrix(mask, torch.from_numpy(data.read_target(record)), 9)
    assert mean_iou(total) > 0.5
