"""A training, pseudo-labels and an evaluation as dashboards find them, reached as `_target_: fake_training.train`."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from wsss_lightning.data.masks import colorize, write_mask
from wsss_lightning.errors import InputError


class Photographs:
    """A data set of black photographs `<root>/<image_id>.png` with one class, cat, of index 7."""

    class_names = ("cat",)

    def __init__(self, root: str) -> None:
        self.root = Path(root)
        self.labels = SimpleNamespace(indices=np.array([7]))

    def records(self, split: str) -> list[Any]:
        if split == "test":
            raise InputError("There is no list of test images.")
        return [SimpleNamespace(image_id=path.stem, image=path) for path in sorted(self.root.glob(f"{split}_*.png"))]


def train(*, out_dir: str, rate: float, checkpoint_every: int, loggers: Any, fails: bool = False) -> dict[str, float]:
    """Log a loss, as a training that was killed at step 20 and resumed at 10."""
    for version, lines in enumerate((["0,10,4.0,", "0,20,3.0,"], ["0,20,3.0,", "0,30,2.0,", "0,30,,0.5"])):
        file = Path(out_dir) / "logs" / f"version_{version}" / "metrics.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(["epoch,step,train/loss,val/tag_ap", *lines, ""]))
    if fails:
        raise InputError("The loss is not finite: lower the rate.")
    return {"train/loss": 2.0, "val/tag_ap": 0.5}


def label(*, out_dir: str, data: Any, model: str) -> dict[str, float]:
    """A pseudo-label and a CAM for each photograph."""
    for record in data.records("train"):
        mask = np.zeros((20, 30), np.uint8)
        mask[:10] = 7
        write_mask(Path(out_dir) / "masks" / f"{record.image_id}.png", mask)
        (Path(out_dir) / "cams").mkdir(exist_ok=True)
        cams = {"keys": np.array([0]), "high_res": np.linspace(0, 1, 600, dtype=np.float32).reshape(1, 20, 30)}
        np.save(Path(out_dir) / "cams" / f"{record.image_id}.npy", cams)  # type: ignore[arg-type]
    return {"train/empty": 0.0}


def judge(*, out_dir: str, masks: str) -> dict[str, float]:
    """Panels, classes and thresholds, as evaluations leave them."""
    folder = Path(out_dir)
    truth = np.full((40, 20), 7, np.uint8)
    truth[0] = 255
    for number in range(2):
        panel = folder / "panels" / f"val_{number}"
        panel.mkdir(parents=True)
        pictures = {
            "image": np.zeros((40, 20, 3), np.uint8),
            "truth": colorize(truth),
            "prediction": colorize(truth * 0),
        }
        pictures["scores"] = np.full((10, 20, 3), 99, np.uint8)
        for name, picture in pictures.items():
            Image.fromarray(picture).save(panel / f"{name}.png")
    (folder / "classes.json").write_text(json.dumps({"names": ["background", "cat"], "indices": [0, 7]}))
    (folder / "evaluation.json").write_text(json.dumps({"miou_by_threshold": {"0.1": 0.25, "0.2": 0.5}}))
    return {"val/miou": 0.5, "val/iou/background": 0.75, "val/iou/cat": 0.25}


STAGES = {
    "model": {
        "_target_": "fake_training.train",
        "out_dir": "${out_dir:}",
        "rate": 0.5,
        "checkpoint_every": 10,
        "loggers": "${logger}",
    },
    "labels": {
        "_target_": "fake_training.label",
        "out_dir": "${out_dir:}",
        "data": {"_target_": "fake_training.Photographs", "root": "???"},
        "model": "${artifact:model}",
    },
    "evaluation": {
        "_target_": "fake_training.judge",
        "out_dir": "${out_dir:}",
        "masks": "${artifact:labels}/masks",
    },
}
