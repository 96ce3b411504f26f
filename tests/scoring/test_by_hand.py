"""Two images whose figures were counted by hand, by the stage, by the command and in one matrix."""

import json
from pathlib import Path

import numpy as np
import pytest
from fake_data import write_voc
from typer.testing import CliRunner

from wsss_lightning.cli import app
from wsss_lightning.data.masks import write_mask
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.stages.evaluate import evaluate

VAL = ("2007_000010", "2007_000011")
TRUTH = [[[0, 0, 1, 1, 255], [0, 0, 1, 1, 255]], [[0, 0, 0, 2, 2], [0, 0, 0, 2, 2]]]
GUESS = [[[0, 1, 1, 1, 4], [0, 0, 1, 0, 4]], [[0, 0, 3, 2, 2], [0, 0, 0, 1, 0]]]
# Class 3 is guessed but nowhere true: 0. Class 4 is guessed behind 255 alone, which does not count: absent.
IOU = {"background": 8 / 12, "aeroplane": 3 / 6, "bicycle": 2 / 4, "bird": 0 / 1}
MIOU, ACCURACY, MEAN_ACCURACY = 5 / 12, 13 / 18, (8 / 10 + 3 / 4 + 2 / 4) / 3


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    write_voc(tmp_path / "VOC2012", train=(), sbd=(), val=VAL, size=(2, 5))
    for name, truth, guess in zip(VAL, TRUTH, GUESS, strict=True):
        write_mask(tmp_path / "VOC2012" / "SegmentationClass" / f"{name}.png", np.array(truth, np.uint8))
        write_mask(tmp_path / "masks" / f"{name}.png", np.array(guess, np.uint8))
    return tmp_path / "VOC2012"


def test_the_stage_counts_as_by_hand(voc: Path, tmp_path: Path) -> None:
    metrics = evaluate(
        out_dir=str(tmp_path / "out"),
        data=VOCDataModule(root=voc),
        masks=str(tmp_path / "masks"),
        extra_masks={},
        extra_panels=None,
        groups={"vehicles": ["aeroplane", "bicycle", "boat"]},
        panels=0,
        loggers={},
        progress=False,
    )
    assert metrics["val/miou"] == pytest.approx(MIOU)
    assert (metrics["val/pixel_accuracy"], metrics["val/mean_accuracy"]) == pytest.approx((ACCURACY, MEAN_ACCURACY))
    present = {name.removeprefix("val/iou/"): value for name, value in metrics.items() if value == value}
    assert {name: value for name, value in present.items() if "/" not in name} == pytest.approx(IOU)
    assert metrics["val/miou/vehicles"] == pytest.approx((8 / 12 + 3 / 6 + 2 / 4) / 3)
    matrices = np.load(tmp_path / "out" / "confusion.npy")[:, :3, :4]
    assert matrices[0].tolist() == [[3, 1, 0, 0], [1, 3, 0, 0], [0, 0, 0, 0]]
    assert matrices[1].tolist() == [[5, 0, 0, 1], [0, 0, 0, 0], [1, 1, 2, 0]]


def test_one_class_against_all_else_counts_as_by_hand(voc: Path, tmp_path: Path) -> None:
    metrics = evaluate(
        out_dir=str(tmp_path / "out"),
        data=VOCDataModule(root=voc),
        masks=str(tmp_path / "masks"),
        extra_masks={},
        extra_panels=None,
        groups={},
        panels=0,
        loggers={},
        progress=False,
        target="aeroplane",
    )
    assert metrics == pytest.approx({"val/ap": 3 / 6, "val/foreground": 3 / 4, "val/background": 12 / 14})


def test_the_command_counts_as_by_hand(voc: Path, tmp_path: Path) -> None:
    given = [str(tmp_path / "masks"), "voc", "--root", str(voc), "--processes", "1"]
    done = CliRunner().invoke(app, ["evaluate", *given, "--json", str(tmp_path / "figures.json")])
    assert done.exit_code == 0, done.exception
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["miou"] == pytest.approx(MIOU) and "41.67" in done.stdout
    assert {name: value for name, value in figures["iou"].items() if value is not None} == pytest.approx(IOU)
    assert np.array(figures["confusion"])[:3, :4].tolist() == [[8, 1, 0, 1], [1, 3, 0, 0], [1, 1, 2, 0]]
    whole = [figures[name] for name in ("pixel_accuracy", "mean_accuracy", "frequency_weighted_iou")]
    assert whole == pytest.approx([ACCURACY, MEAN_ACCURACY, (10 * 8 / 12 + 4 / 2 + 4 / 2) / 18])
