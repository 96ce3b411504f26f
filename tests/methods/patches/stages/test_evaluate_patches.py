"""The stages that open masks, choose_threshold and evaluate of one class, and classify_patches, which tells tags."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from fake_patches import write_levels
from fake_skies import SIZE, TRAINER, open_skies, train
from sklearn.metrics import average_precision_score, jaccard_score

from wsss_lightning.data.base import Split
from wsss_lightning.data.masks import write_mask
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.methods.patches.stages.choose_threshold import choose_threshold, read_threshold
from wsss_lightning.methods.patches.stages.classify_patches import classify_patches
from wsss_lightning.stages.evaluate import evaluate as evaluate_masks

THETAS = [0.2, 0.4, 0.6, 0.8]


@pytest.fixture
def data(tmp_path: Path) -> VOCDataModule:
    return open_skies(tmp_path / "voc")


def write_guesses(folder: Path, data: VOCDataModule, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities 0.7 in the sun and 0.3 elsewhere, with noise of 0.3; returns what counts of truth and of them."""
    truths, guesses, written = [], [], {}
    rng = np.random.default_rng(0)
    for record in data.records(split):
        truth = data.read_target(record)
        levels = (65535 * (0.3 + 0.4 * (truth == 1) + rng.uniform(-0.3, 0.3, truth.shape))).astype(np.uint16)
        written[record.image_id] = levels
        counted = truth != 255
        truths.append(truth[counted] == 1)
        guesses.append(levels[counted] / 65535)
    write_levels(folder, written)
    return np.concatenate(truths), np.concatenate(guesses)


def test_the_best_threshold_of_the_whole_curve(tmp_path: Path, data: VOCDataModule) -> None:
    truth, probs = write_guesses(tmp_path / "guesses", data, "train")
    metrics = choose_threshold(
        out_dir=str(tmp_path),
        data=data,
        probabilities=str(tmp_path / "guesses"),
        target="sun",
        thresholds=THETAS,
        progress=False,
    )
    curve = {theta: jaccard_score(truth, probs > theta) for theta in THETAS}
    best = max(THETAS, key=curve.__getitem__)
    expected = {f"train/ap/{theta:g}": value for theta, value in curve.items()}
    assert metrics == pytest.approx({"train/ap": curve[best], "train/threshold": best, **expected})
    assert read_threshold(tmp_path) == best != THETAS[0]


def test_a_class_that_no_training_image_shows_has_no_threshold(tmp_path: Path, data: VOCDataModule) -> None:
    data.records("train")[:] = [record for record in data.records("train") if not record.tags.any()]
    write_guesses(tmp_path / "guesses", data, "train")
    with pytest.raises(InputError, match=r"shows sun: give patches\.threshold a number"):
        choose_threshold(
            out_dir=str(tmp_path),
            data=data,
            probabilities=str(tmp_path / "guesses"),
            target="sun",
            thresholds=[0.99],
            progress=False,
        )


def evaluate(tmp_path: Path, data: VOCDataModule, target: str) -> dict[str, float]:
    return evaluate_masks(
        out_dir=str(tmp_path / "out"),
        data=data,
        masks=str(tmp_path / "masks"),
        extra_masks={},
        extra_panels=None,
        groups={},
        target=target,
        panels=2,
        loggers={},
        progress=False,
    )


@pytest.mark.parametrize(("target", "index"), [("sun", 1), ("moon", 2)])
def test_other_classes_are_background_and_255_does_not_count(
    tmp_path: Path, data: VOCDataModule, target: str, index: int
) -> None:
    truths, masks = [], []
    for number, record in enumerate(data.records("val")):
        mask = np.zeros(SIZE, np.uint8)
        mask[4:20, 4:20] = index * (number != 5)
        write_mask(tmp_path / "masks" / f"{record.image_id}.png", mask)
        truth = data.read_target(record)
        truths.append(truth[truth != 255] == index)
        masks.append(mask[truth != 255] == index)
    truth, mask = np.concatenate(truths), np.concatenate(masks)
    metrics = evaluate(tmp_path, data, target)
    expected = {"val/ap": jaccard_score(truth, mask), "val/foreground": mask[truth].mean()}
    assert metrics == pytest.approx({**expected, "val/background": (~mask[~truth]).mean()})
    matrices = np.load(tmp_path / "out" / "confusion.npy")
    assert matrices.shape == (6, 2, 2) and matrices.sum() == len(truth)
    assert len(json.loads((tmp_path / "out" / "images.json").read_text())) == 6
    shown = sorted(path.name for path in (tmp_path / "out" / "panels").iterdir())
    assert shown == [f"val_{number:02d}" for number in (index - 1, index + 2)]
    assert {path.stem for path in (tmp_path / "out" / "panels" / shown[0]).iterdir()} == {
        "image",
        "truth",
        "prediction",
    }


def test_patches_tell_what_images_show(tmp_path: Path, data: VOCDataModule) -> None:
    train(tmp_path / "trained", data, steps=60, rate=0.03, batch_size=8)
    metrics = classify_patches(
        out_dir=str(tmp_path / "out"),
        data=data,
        target="sun",
        model=str(tmp_path / "trained"),
        patches=4,
        size=SIZE,
        trainer=partial(TRAINER, limit_val_batches=1),  # of trainings: all images are looked at
        workers=0,
    )
    assert metrics["val/tag_ap"] == average_precision_score([1, 0], [1, 0]) == 1
    assert metrics["val/classified"] >= 5 / 6 and metrics["val/classified_balanced"] > 0.7
