"""Stage: score maps of all images of a split."""

from pathlib import Path

import numpy as np
from torch import Tensor

from wsss_lightning.data.base import SegmentationDataModule, Split
from wsss_lightning.methods.points.stages.features import Stored, StoredImages, opened
from wsss_lightning.stages.fit import MakeTrainer
from wsss_lightning.stages.io import read_tensors, write_tensors
from wsss_lightning.stages.predict import infer, load_fitting, without


def localize(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    features: Stored,
    localizers: str,
    split: Split,
    tagged_only: bool,
    trainer: MakeTrainer,
    workers: int,
    progress: bool,
) -> None:
    """Store S(., c) and S̄(., c): `<image_id>.safetensors` with `scores` (F, 2, h, w), `present` (F,).

    `present` are labels 1..C in ascending order: those that the image's tags name or, unless `tagged_only`, all.
    """
    store, model, folder = opened(features), load_fitting(localizers, data), Path(out_dir)
    model.grid = store.grid()  # type: ignore[assignment]
    records = data.records(split)
    present = np.stack([record.tags | (not tagged_only) for record in records])
    infer(
        model,
        without(
            StoredImages(store, split, records, present=present),
            [score_path(folder, record.image_id) for record in records],
        ),
        write=lambda image: write_tensors(score_path(folder, image.image_id), image.stored),
        batch_size=data.inference_batch_size,
        trainer=trainer,
        workers=workers,
        progress=progress,
        description=f"score maps, {split}",
    )


def score_path(folder: Path, image_id: str) -> Path:
    """Where one image's score maps lie."""
    return folder / f"{image_id}.safetensors"


def read_scores(folder: Path, image_id: str) -> tuple[Tensor, Tensor]:
    """Score maps (F, 2, h, w), foreground first, and labels (F,) of one image."""
    tensors = read_tensors(score_path(folder, image_id))
    return tensors["scores"], tensors["present"]
