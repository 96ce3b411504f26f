"""Stage: how good masks of single-tag images are. It opens their ground truth; nothing that trains reads its result."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.labels import IGNORE
from wsss_lightning.data.masks import read_mask
from wsss_lightning.methods.coseg.stages.kept_masks import KEPT, read_kept
from wsss_lightning.progress import track
from wsss_lightning.stages.io import write_json

PrecisionJaccard = tuple[float, float]  # precision and Jaccard index


def judge_cosegmentation(
    *, out_dir: str, source: SegmentationDataModule, masks: str, progress: bool
) -> dict[str, float]:
    """Precision and Jaccard index of the masks of a `cosegment` or `segment_by_...` stage, over all and kept images.

    Precision is the share of right pixels, as this field calls it, the Jaccard index that of the class's own pixels;
    both per image and averaged over images. `train/<name>/<all or kept>` is the mean over classes, `.../<class>` each
    class's; nan where nothing is kept. Writes `scores.json`: of each image its class, outcome, and both scores.
    """
    folder, records = Path(masks), {record.image_id: record for record in source.records("train")}
    rows, judged = read_kept(folder), []
    for image_id, name, _, outcome in track(rows, description="judging masks", total=len(rows), enabled=progress):
        path = folder / "found" / f"{image_id}.png"
        target, label = source.read_target(records[image_id]), source.class_names.index(name) + 1
        measures = score(source.encode(read_mask(path), path) > 0, target, label)
        judged.append((image_id, name, outcome, *measures))
    write_json(Path(out_dir) / "scores.json", judged)
    return _averages(judged, source.class_names)


def score(predicted: NDArray[np.bool_], target: NDArray[np.uint8], label: int) -> PrecisionJaccard:
    """Precision and Jaccard index of a mask (H, W) against labels (H, W); pixels of no label are left out."""
    counted = target != IGNORE
    mask, truth = predicted[counted], (target == label)[counted]
    union = (mask | truth).sum()
    return float((mask == truth).mean()), float((mask & truth).sum() / union) if union else 1.0


def _averages(judged: Sequence[tuple[str, str, str, float, float]], names: Sequence[str]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for column, measure in ((3, "precision"), (4, "jaccard")):
        for which in ("all", KEPT):
            chosen = [row for row in judged if which == "all" or row[2] == which]
            per_class = {name: [float(row[column]) for row in chosen if row[1] == name] for name in names}
            means = {name: float(np.mean(values)) if values else float("nan") for name, values in per_class.items()}
            there = [mean for mean in means.values() if not np.isnan(mean)]
            metrics[f"train/{measure}/{which}"] = float(np.mean(there)) if there else float("nan")
            metrics |= {f"train/{measure}/{which}/{name}": mean for name, mean in means.items()}
    return metrics
