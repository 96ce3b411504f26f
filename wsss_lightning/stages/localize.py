"""Stage: score maps of the training images for the classes that their tags name."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.stages.features import FeatureStore
from wsss_lightning.stages.fit_localizers import read_localizers
from wsss_lightning.stages.io import read_tensors, write_tensors
from wsss_lightning.stages.progress import track


def localize(*, out_dir: str, data: SegmentationDataModule, features: str, localizers: str, progress: bool) -> None:
    """Store S(., c) of every training image: `<image_id>.safetensors` with `scores` (F, h, w), `present` (F,).

    `present` are labels 1..C in ascending order; an image without tags has F = 0.
    """
    store = FeatureStore(Path(features))
    network = read_localizers(Path(localizers), store)
    records = data.records("train")
    for record in track(records, description="score maps", total=len(records), enabled=progress):
        path = score_path(Path(out_dir), record.image_id)
        if not path.exists():
            classes = np.flatnonzero(record.tags).tolist()
            with torch.inference_mode():
                maps = store.read("train", record.image_id).maps
                scores = network(maps, classes)[:, 0] if classes else torch.zeros(0, *store.grid())
            write_tensors(path, {"scores": scores, "present": torch.tensor(classes, dtype=torch.int64) + 1})


def score_path(folder: Path, image_id: str) -> Path:
    """Where one image's score maps lie."""
    return folder / f"{image_id}.safetensors"


def read_scores(folder: Path, image_id: str) -> tuple[Tensor, Tensor]:
    """Score maps (F, h, w) and labels (F,) of one image."""
    tensors = read_tensors(score_path(folder, image_id))
    return tensors["scores"], tensors["present"]
