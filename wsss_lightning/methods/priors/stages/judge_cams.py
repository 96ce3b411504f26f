"""Stage: where class activation maps lie and where the objects are (priors figure 9). It opens training masks."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.labels import IGNORE
from wsss_lightning.methods.priors.priors import Negatives, scale_activation_maps
from wsss_lightning.methods.priors.stages.class_activations import read_class_activations
from wsss_lightning.ops.resize import resize_map
from wsss_lightning.progress import track
from wsss_lightning.stages.drawing import draw_scores, enlarged
from wsss_lightning.stages.io import write_picture
from wsss_lightning.stages.records import tagged

_GRID = (64, 64)  # of the averages: images of all sizes are squeezed into it


def judge_cams(
    *, out_dir: str, data: SegmentationDataModule, cams: str, negatives: Negatives, progress: bool
) -> dict[str, float]:
    """Mean of the scaled M_c over the pixels of class c and over the other pixels, of the training images tagged c.

    `train/cam_on_object`, `train/cam_elsewhere`: means over classes, 0..1; `.../<class>`: each class's, nan where it
    has no pixel. Draws `panels/<class>/{average_cam,average_truth}.png`, the maps' and the objects' mean place.
    """
    shape = (data.num_classes, *_GRID)
    sums, places, totals = torch.zeros(shape), torch.zeros(shape), torch.zeros(data.num_classes, 2, 2)
    records = tagged(data)
    for record in track(records, description="judging class activations", total=len(records), enabled=progress):
        target = torch.from_numpy(data.read_target(record))
        maps, present = read_class_activations(Path(cams), record.image_id, (target.shape[0], target.shape[1]))
        for label, each in zip(present.tolist(), scale_activation_maps(maps, negatives=negatives), strict=True):
            totals[label - 1] += _sums(each, target, label)
            sums[label - 1] += resize_map(each, _GRID)
            places[label - 1] += resize_map((target == label).float(), _GRID)
    canvas = enlarged(np.zeros((*_GRID, 3), np.uint8))
    for name, average, place in zip(data.class_names, sums, places, strict=True):
        panel = Path(out_dir) / "panels" / name
        write_picture(panel / "average_cam.png", draw_scores(canvas, average[None]))
        write_picture(panel / "average_truth.png", draw_scores(canvas, place[None]))
    return _means(totals, data.class_names)


def _sums(each: Tensor, target: Tensor, label: int) -> Tensor:
    """Of a map, its sum and its number of pixels on label `label` and elsewhere: [[on, n], [elsewhere, n]]."""
    parts = (each[target == label], each[(target != label) & (target != IGNORE)])
    return torch.tensor([[float(part.sum()), len(part)] for part in parts])


def _means(totals: Tensor, class_names: tuple[str, ...]) -> dict[str, float]:
    metrics = {}
    for name, column in (("cam_on_object", totals[:, 0]), ("cam_elsewhere", totals[:, 1])):
        per_class = column[:, 0] / column[:, 1]
        metrics[f"train/{name}"] = float(per_class.nanmean())
        metrics |= {f"train/{name}/{c}": float(mean) for c, mean in zip(class_names, per_class, strict=True)}
    return metrics
