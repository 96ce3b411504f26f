"""Stage: how many sampled points carry the right label. It opens training masks, to judge and never to train."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.labels import IGNORE
from wsss_lightning.data.masks import read_mask
from wsss_lightning.methods.points.stages.features import Stored, opened
from wsss_lightning.ops.resize import resize_labels
from wsss_lightning.progress import track
from wsss_lightning.stages.io import read_tensors
from wsss_lightning.stages.records import tagged

_PARTS = ("body", "part", "thin")  # 1, 2, 3 in the maps that generated scenes have beside their masks


def judge(
    *, out_dir: str, data: SegmentationDataModule, features: Stored, points: str, progress: bool
) -> dict[str, float]:
    """Shares of points, fractions: `train/points/right`, per label `train/points/right/<class>`, and where they lie.

    Points where the truth is ignored (255) count nowhere; a label without points is nan. Of the right foreground
    points of generated scenes, `train/points/on_<part>` says how many lie on bodies, discriminative and thin parts.
    """
    del out_dir  # metrics are all there is
    grid, points_of_images = opened(features).grid(), []
    records = tagged(data)
    for record in track(records, description="judging points", total=len(records), enabled=progress):
        stored = read_tensors(Path(points) / f"{record.image_id}.safetensors")
        truth = resize_labels(data.read_target(record), grid)
        parts = data.reader.root / "Parts" / f"{record.image_id}.png"
        places = resize_labels(read_mask(parts), grid) if parts.is_file() else np.zeros(grid, np.uint8)
        there = [torch.from_numpy(m.astype(np.int64)).flatten()[stored["locations"]] for m in (truth, places)]
        points_of_images.append(torch.stack([stored["labels"], *there]))
    return _shares(torch.cat(points_of_images, dim=1), data.class_names)


def _shares(points: Tensor, class_names: tuple[str, ...]) -> dict[str, float]:
    """`points`: (3, P) label, truth and part."""
    labels, truth, places = points[:, points[1] != IGNORE]
    right = (labels == truth).double()
    per_label = {name: right[labels == label] for label, name in enumerate(("background", *class_names))}
    shares = {"train/points/right": right} | {f"train/points/right/{name}": r for name, r in per_label.items()}
    on = places[(labels == truth) & (labels > 0)]
    if bool(places.any()):
        shares |= {f"train/points/on_{name}": (on == number).double() for number, name in enumerate(_PARTS, start=1)}
    return {name: float(share.mean()) for name, share in shares.items()}
