"""A job as one run of TensorBoard: the scalars and pictures that W&B gets."""

import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from torch.utils.tensorboard.writer import SummaryWriter

from wsss_lightning.dashboards.overlays import read_classes, read_drawings, read_overlays
from wsss_lightning.data.masks import colorize
from wsss_lightning.pipeline.curves import Curve
from wsss_lightning.pipeline.telling import DashboardJob, Finished

_PER_UNIT = 1000  # TensorBoard's steps are integers: thresholds stand as thousandths


class TensorBoardRun:
    """Curves, results and pictures of all stages of a job; `folder`: has one folder for each group and job."""

    def __init__(self, *, folder: str) -> None:
        self.folder = Path(folder)
        self.curves: set[str] = set()

    def start(self, job: DashboardJob) -> None:
        name = re.sub(r"[^\w.=-]+", "_", job.name)
        place = self.folder / re.sub(r"[^\w.=-]+", "_", job.group or "runs")
        # Two jobs of a sweep may begin in the same second.
        self.writer = SummaryWriter(str(place / f"{name}-{time.time_ns() // 1_000_000}"))
        self.settings = {name: value for name, value in job.settings.items() if name != "stages"}
        text = yaml.safe_dump(job.settings, sort_keys=False, allow_unicode=True)
        self.writer.add_text("settings", "    " + text.replace("\n", "\n    "))

    def curve(self, stage: str, name: str, axis: str, points: Curve) -> None:
        self.curves.add(f"{stage}/{name}")
        for x, value in points:
            step = round(x if axis == "step" else x * _PER_UNIT)
            self.writer.add_scalar(f"{stage}/{name}", value, step)
        self.writer.flush()

    def result(self, stage: Finished) -> None:
        metrics = stage.record["metrics"]
        for name, value in {**metrics, "wall_seconds": stage.record["wall_seconds"]}.items():
            if f"{stage.name}/{name}" not in self.curves:
                self.writer.add_scalar(f"{stage.name}/{name}", value, 0)
        labels = read_classes(stage.folder, stage.data)
        for overlay in read_overlays(stage.folder, stage.data, labels):
            row = [overlay.image, *(colorize(mask) for mask in overlay.masks.values())]
            name = f"{stage.name}/overlays/{overlay.image_id}"
            self.writer.add_image(name, np.hstack(row), dataformats="HWC")
        for kind, image_id, picture in read_drawings(stage.folder, stage.data, labels):
            self.writer.add_image(f"{stage.name}/{kind}/{image_id}", picture, dataformats="HWC")
        if stage.final:
            self.writer.add_hparams(_flat(self.settings), dict(metrics), run_name=".")

    def finish(self, *, failed: bool) -> None:
        if failed:
            self.writer.add_text("failed", "The job ended with an error.")
        self.writer.close()


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings as TensorBoard takes them: dotted names and plain values."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        elif value is not None:
            flat[f"{prefix}{name}"] = value if isinstance(value, bool | int | float | str) else str(value)
    return flat
