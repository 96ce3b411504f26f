"""Stage: points labelled by ground truth. Not weak supervision; whoever uses it must say so on the card."""

from pathlib import Path

import numpy as np
import torch

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.labels import IGNORE
from wsss_lightning.methods.points.samplers import Points
from wsss_lightning.methods.points.stages.features import Stored, opened
from wsss_lightning.methods.points.stages.sample import point_counts, write_points
from wsss_lightning.nn.seeds import own_seed
from wsss_lightning.ops.resize import resize_labels
from wsss_lightning.progress import track
from wsss_lightning.stages.records import tagged


def sample_truth(
    *, out_dir: str, data: SegmentationDataModule, features: Stored, kept: int, half: bool, seed: int, progress: bool
) -> dict[str, float]:
    """Store `kept` random grid locations of every training image with the labels of its mask, 255 left out.

    The ceiling of every sampling: the same classifier, features and steps with labels that are right.
    """
    store, folder = opened(features), Path(out_dir)
    records = tagged(data)
    for record in track(records, description="true points", total=len(records), enabled=progress):
        path = folder / f"{record.image_id}.safetensors"
        if not path.exists():
            labels = torch.from_numpy(resize_labels(data.read_target(record), store.grid())).flatten().long()
            drawn = np.random.default_rng(own_seed(seed, record.image_id)).permutation(len(labels))
            locations = torch.from_numpy(np.sort(drawn[labels[drawn] != IGNORE][:kept]))
            points = Points(locations=locations, labels=labels[locations])
            stored = store.read_stored("train", record.image_id)
            write_points(path, stored, store.grid(), points, half=half)
    return point_counts(folder, records)
