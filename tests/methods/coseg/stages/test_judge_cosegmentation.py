import json
import math
from pathlib import Path

import numpy as np
import pytest
from fake_collection import write_collection

from wsss_lightning.data.base import Record
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.methods.coseg.stages.cosegmentation import single_tag_records
from wsss_lightning.methods.coseg.stages.judge_cosegmentation import judge_cosegmentation, score
from wsss_lightning.methods.coseg.stages.kept_masks import keep_masks


def test_scores_by_hand() -> None:
    target = np.array([[1, 1, 0, 0], [1, 2, 0, 255]], np.uint8)
    found = np.array([[1, 0, 1, 0], [1, 0, 0, 1]], bool)
    assert score(found, target, 1) == (5 / 7, 2 / 4)
    assert score(found, target, 3) == (4 / 7, 0.0)
    assert score(np.zeros((2, 4), bool), target, 3) == (1.0, 1.0)


@pytest.fixture
def source(tmp_path: Path) -> VOCDataModule:
    return VOCDataModule(
        root=write_collection(tmp_path / "data", per_class=3), names=("egg", "brick"), train_list="train", tags="npy"
    )


def test_over_all_images_and_over_the_kept_ones(tmp_path: Path, source: VOCDataModule) -> None:
    def mask(record: Record) -> np.ndarray:
        truth = source.read_target(record) > 0
        return truth if record.image_id in ("000000", "000001") else np.zeros_like(truth)

    keep_masks(tmp_path / "masks", source, single_tag_records(source), mask, kept=(0.1, 0.9))
    metrics = judge_cosegmentation(
        out_dir=str(tmp_path / "out"), source=source, masks=str(tmp_path / "masks"), progress=False
    )
    assert metrics["train/jaccard/kept"] == metrics["train/precision/kept"] == 1
    assert metrics["train/jaccard/all/egg"] == pytest.approx(1 / 3)
    shares = [(source.read_target(record) > 0).mean() for record in source.records("train")[0:6:2]]
    assert metrics["train/precision/all/egg"] == pytest.approx(1 - sum(shares[1:]) / 3)
    rows = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert ["000000", "egg", "kept", 1.0, 1.0] in rows and len(rows) == 6


def test_a_class_of_which_nothing_is_kept_has_no_score(tmp_path: Path, source: VOCDataModule) -> None:
    masks = tmp_path / "masks"
    keep_masks(masks, source, single_tag_records(source), lambda _: np.zeros((2, 2), bool), kept=(0.1, 0.9))
    metrics = judge_cosegmentation(out_dir=str(tmp_path / "out"), source=source, masks=str(masks), progress=False)
    assert math.isnan(metrics["train/jaccard/kept"]) and metrics["train/jaccard/all"] == 0
