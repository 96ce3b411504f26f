"""Stage: labelled points of the training images (points sec. 3.2)."""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import torch
from torch import Tensor

from wsss_lightning.data.base import Record, SegmentationDataModule
from wsss_lightning.methods.points.samplers import Evidence, Points
from wsss_lightning.methods.points.similarity import similarity_of
from wsss_lightning.methods.points.stages.features import FeatureStore, Stored, opened
from wsss_lightning.methods.points.stages.localize import read_scores
from wsss_lightning.nn.backbones import Features
from wsss_lightning.nn.hypercolumns import Size, Standardisation, hypercolumns_at
from wsss_lightning.nn.precision import to_float16
from wsss_lightning.nn.seeds import own_seed
from wsss_lightning.stages.io import read_tensors, write_tensors
from wsss_lightning.stages.missing import write_missing
from wsss_lightning.stages.records import tagged

ScoreConvention = Callable[[Tensor, Tensor], Tensor]
Sampler = Callable[[Evidence], Points]


def sample(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    features: Stored,
    scores: str,
    sampler: Sampler,
    convention: ScoreConvention,
    half: bool,
    seed: int,
    workers: int,
    progress: bool,
) -> dict[str, float]:
    """Store the points of every training image: `<image_id>.safetensors`.

    Keys: `features` (P, D) raw hypercolumns, `labels` (P,), `locations` (P,), `pooled` (1, G). `convention` says what
    a score is before any sampler sees it. An image whose tags are all absent teaches nothing.
    """
    folder, records = Path(out_dir), tagged(data)
    work = partial(
        _sample_one,
        folder=folder,
        store=opened(features),
        scores=Path(scores),
        peaks=score_peaks(Path(scores), data, convention),
        sampler=sampler,
        convention=convention,
        half=half,
        seed=seed,
    )
    write_missing(work, records, folder, processes=workers, description="points", progress=progress, kind="safetensors")
    return point_counts(folder, records)


def _sample_one(
    record: Record,
    *,
    folder: Path,
    store: FeatureStore,
    scores: Path,
    peaks: Tensor,
    sampler: Sampler,
    convention: ScoreConvention,
    half: bool,
    seed: int,
) -> None:
    maps, present = read_scores(scores, record.image_id)
    features, grid = store.read_stored("train", record.image_id), store.grid()
    evidence = Evidence(
        scores=convention(maps[:, 0], maps[:, 1]),
        # What a class asks for is asked for again by eq 5.
        similarity=cache(similarity_of(features, grid, Standardisation(*store.statistics()))),
        present=present,
        peaks=peaks[present - 1],
        seed=own_seed(seed, record.image_id),
    )
    write_points(_path(folder, record.image_id), features, grid, sampler(evidence), half=half)


def _path(folder: Path, image_id: str) -> Path:
    return folder / f"{image_id}.safetensors"


def score_peaks(folder: Path, data: SegmentationDataModule, convention: ScoreConvention) -> Tensor:
    """Mean over a class's training images of the highest score, (C,): what sec. 4.2 divides by; 1 without images."""
    highest: list[list[Tensor]] = [[] for _ in range(data.num_classes)]
    for record in tagged(data):
        maps, present = read_scores(folder, record.image_id)
        for label, score in zip(present.tolist(), convention(maps[:, 0], maps[:, 1]), strict=True):
            highest[label - 1].append(score.max())
    return torch.stack([torch.stack(values or [torch.ones(())]).mean() for values in highest]).clamp_min(1e-12)


def write_points(path: Path, features: Features, grid: Size, points: Points, *, half: bool) -> None:
    """Store labelled points of a training image with their features."""
    rows = hypercolumns_at(features.maps, points.locations, grid, corners=features.corners)
    rows = to_float16(rows, what=f"A feature of {path.stem}") if half else rows
    own = {"labels": points.labels, "locations": points.locations}
    write_tensors(path, {"features": rows, "pooled": features.pooled, **own})


def point_counts(folder: Path, records: list[Record]) -> dict[str, float]:
    """Number of stored points, and of those labelled background."""
    labels = torch.cat([read_tensors(_path(folder, record.image_id))["labels"] for record in records])
    return {"points": float(len(labels)), "background": float((labels == 0).sum())}
