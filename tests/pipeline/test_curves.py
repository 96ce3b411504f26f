from __future__ import annotations

import json
from pathlib import Path

from wsss_lightning.pipeline.curves import read_curves, read_trials


def test_only_what_was_logged_more_than_once_is_a_curve(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "version_0" / "metrics.csv"
    file.parent.mkdir(parents=True)
    file.write_text("epoch,step,train/loss,val/tag_ap\n0,9,1.0,\n0,19,0.5,\n0,20,,0.75\n")
    assert read_curves(tmp_path) == {"train/loss": [(9.0, 1.0), (19.0, 0.5)]}
    assert read_curves(tmp_path, least=1)["val/tag_ap"] == [(20.0, 0.75)]
    assert read_curves(tmp_path / "none") == {}
    file.write_text(file.read_text() + "0,29,0.2")  # of 0.25: the logger is writing
    assert read_curves(tmp_path)["train/loss"] == [(9.0, 1.0), (19.0, 0.5)]


def test_thresholds_snapshots_and_numbered_metrics_are_curves(tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_text(json.dumps({"miou_by_threshold": {"0.20": 0.5, "0.10": 0.25, "1": None}}))
    for step, value in ((1000, 0.5), (200, 0.25), (300, None)):
        (tmp_path / "scores").mkdir(exist_ok=True)
        (tmp_path / "scores" / f"{step}.json").write_text(json.dumps(value))
    metrics = {"train/ap": 0.5, "train/ap/0.3": 0.5, "train/ap/0.1": 0.25, "val/iou/cat": 1.0, "val/iou/nan": 1.0}
    assert read_trials(tmp_path, metrics) == {
        ("miou_by_threshold", "threshold"): [(0.1, 0.25), (0.2, 0.5)],
        ("val/miou_of_snapshots", "step"): [(200.0, 0.25), (1000.0, 0.5)],
        ("train/ap_by_value", "value"): [(0.1, 0.25), (0.3, 0.5)],
    }
