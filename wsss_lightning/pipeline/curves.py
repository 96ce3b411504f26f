"""Series of numbers that stages leave on disk: what training logged, and what was tried at several thresholds."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path

Curve = list[tuple[float, float]]


def read_curves(folder: Path, *, least: int = 2) -> dict[str, Curve]:
    """(step, value) of every quantity that a stage's csv logger wrote at `least` or more steps.

    A stage may be writing: a line without its end is left for the next time.
    """
    curves: dict[str, Curve] = {}
    for path in sorted(folder.glob("logs/**/metrics.csv")):
        whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
        for line in csv.DictReader(whole.splitlines()):
            for name in line.keys() - {"step", "epoch", None}:
                if line[name] and line.get("step"):
                    curves.setdefault(name, []).append((float(line["step"]), float(line[name])))
    return {name: sorted(points) for name, points in sorted(curves.items()) if len(points) >= least}


def read_trials(folder: Path, metrics: Mapping[str, float]) -> dict[tuple[str, str], Curve]:
    """What a finished stage measured at several values of one quantity, by the names of metric and quantity.

    These are the thresholds of an evaluation of activation maps, the snapshots of a training (val mIoU by step), and
    metrics whose names end with a number (`train/ap/0.3`).
    """
    curves: dict[tuple[str, str], Curve] = {}
    evaluation = folder / "evaluation.json"
    evaluated = json.loads(evaluation.read_text()) if evaluation.is_file() else {}
    by_threshold = evaluated.get("miou_by_threshold") or {}
    if curve := [(float(threshold), value) for threshold, value in by_threshold.items() if value is not None]:
        curves["miou_by_threshold", "threshold"] = curve
    snapshots = [path for path in folder.glob("scores/*.json") if path.stem.isdigit()]
    if snapshots:
        values = [(float(path.stem), json.loads(path.read_text())) for path in snapshots]
        curves["val/miou_of_snapshots", "step"] = [(step, value) for step, value in values if value is not None]
    for name, value in metrics.items():
        metric, _, number = name.rpartition("/")
        if _is_number(number):
            curves.setdefault((f"{metric}_by_value", "value"), []).append((float(number), value))
    return {names: sorted(curve) for names, curve in curves.items()}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text not in {"nan", "inf", "infinity"}
