"""The generated scenes must stay hard in the ways of photographs, and feasible, or no ablation on them means anything.

Limits are those that the data set was designed to; what `backbone=tiny` reaches is printed by a failing test.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from wsss_lightning import load, pipeline
from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.shapes import CLASSES
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.methods.points.stages.features import FeatureStore
from wsss_lightning.metrics.segmentation import confusion_matrix, mean_iou

# The scenes of `data=shapes`, whole: fewer would make the ceiling look lower than it is.
SETTINGS = ["trainer.accelerator=cpu", "runtime.progress=false"]


def plan(root: Path, *overrides: str) -> pipeline.Plan:
    return pipeline.plan([f"paths.root={root}", *SETTINGS, *overrides])


def scenes(planned: pipeline.Plan) -> SegmentationDataModule:
    return VOCDataModule(root=planned.stages["shapes"].folder, names=CLASSES, train_list="train")


def test_the_scenes_are_feasible_and_hard(tmp_path: Path) -> None:
    """The ceiling is far above always background, and the best fifth of a score map misses most of the object."""
    planned = plan(tmp_path, "experiment=points/ceiling")
    ceiling = pipeline.run(planned)["val/miou"]
    data = scenes(planned)
    targets = [torch.from_numpy(data.read_target(record)) for record in data.records("val")]
    empty = sum(confusion_matrix(torch.zeros_like(target), target, 9) for target in targets)
    assert isinstance(empty, torch.Tensor)
    floor = mean_iou(empty)
    assert ceiling >= 0.45 and ceiling >= 5 * floor, f"ceiling {ceiling:.3f}, always background {floor:.3f}"
    planned = plan(tmp_path, "result=localizers")  # of the features that the ceiling has extracted
    pipeline.run(planned)
    localizers = planned.stages["localizers"].folder
    covered = coverage(data, FeatureStore(planned.stages["features"].folder), localizers)
    assert np.mean(covered) < 0.5, f"the best fifth covers {np.mean(covered):.3f} of the object on average"


def coverage(data: SegmentationDataModule, store: FeatureStore, localizers: Path) -> list[float]:
    """Per val image and class, the share of the object's pixels on the grid among the best fifth of the locations."""
    network: Any = load(localizers).localizers
    shares = []
    for record in data.records("val"):
        classes = np.flatnonzero(record.tags).tolist()
        scores = network(store.read("val", record.image_id), classes, store.grid())[0, :, 0]
        target = torch.from_numpy(data.read_target(record))[2::4, 2::4]
        for c, score in zip(classes, scores, strict=True):
            best = score >= score.flatten().kthvalue(score.numel() * 4 // 5).values
            shares.append(float(best[target == c + 1].float().mean()))
    return [share for share in shares if not np.isnan(share)]
