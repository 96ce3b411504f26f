"""Stage: score maps of all images of a split."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wsss_lightning.data.base import SegmentationDataModule, Split
from wsss_lightning.methods.points.stages.features import FeatureStore
from wsss_lightning.methods.points.stages.fit_localizers import read_localizers
from wsss_lightning.progress import track
from wsss_lightning.stages.io import read_tensors, write_tensors


def localize(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    features: str,
    localizers: str,
    split: Split,
    tagged_only: bool,
    progress: bool,
) -> None:
    """Store S(., c) and S̄(., c): `<image_id>.safetensors` with `scores` (F, 2, h, w), `present` (F,).

    `present` are labels 1..C in ascending order: those that the image's tags name or, unless `tagged_only`, all.
    """
    store = FeatureStore(Path(features))
    network = read_localizers(Path(localizers), store)
    records = data.records(split)
    for record in track(records, description=f"score maps, {split}", total=len(records), enabled=progress):
        path = score_path(Path(out_dir), record.image_id)
        if not path.exists():
            classes = np.flatnonzero(record.tags | (not tagged_only)).tolist()
            with torch.inference_mode():
                seen = store.read(split, record.image_id)
                scores = network.on_image(seen, classes) if classes else torch.zeros(0, 2, *store.grid())
            write_tensors(path, {"scores": scores, "present": torch.tensor(classes, dtype=torch.int64) + 1})


def score_path(folder: Path, image_id: str) -> Path:
    """Where one image's score maps lie."""
    return folder / f"{image_id}.safetensors"


def read_scores(folder: Path, image_id: str) -> tuple[Tensor, Tensor]:
    """Score maps (F, 2, h, w), foreground first, and labels (F,) of one image."""
    tensors = read_tensors(score_path(folder, image_id))
    return tensors["scores"], tensors["present"]
