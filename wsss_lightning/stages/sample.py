"""Stage: labelled points of the training images (points sec. 3.2)."""

import zlib
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from wsss_lightning.data.base import Record, SegmentationDataModule
from wsss_lightning.methods.points.samplers import Evidence, Points
from wsss_lightning.nn.hypercolumns import Standardisation, hypercolumns_at
from wsss_lightning.stages.features import FeatureStore
from wsss_lightning.stages.io import read_tensors, to_float16, write_tensors
from wsss_lightning.stages.localize import read_scores
from wsss_lightning.stages.progress import track

Convention = Callable[[Tensor], Tensor]
Sampler = Callable[[Evidence], Points]


def sample(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    features: str,
    scores: str,
    sampler: Sampler,
    convention: Convention,
    half: bool,
    seed: int,
    progress: bool,
) -> dict[str, float]:
    """Store the points of every training image: `<image_id>.safetensors`.

    Keys: `features` (P, D) raw hypercolumns, `labels` (P,), `locations` (P,), `pooled` (1, G). `convention` says what
    a score is where its zero matters, before any sampler sees it. An image whose tags are all absent teaches nothing.
    """
    store, folder = FeatureStore(Path(features)), Path(out_dir)
    records = [record for record in data.records("train") if record.tags.any()]
    peaks = _peaks(Path(scores), records, data.num_classes, convention)
    normalised = Standardisation(*store.statistics())
    for record in track(records, description="points", total=len(records), enabled=progress):
        path = folder / f"{record.image_id}.safetensors"
        if not path.exists():
            raw, present = read_scores(Path(scores), record.image_id)
            maps = store.read("train", record.image_id).maps
            evidence = Evidence(
                scores=convention(raw),
                columns=normalised.unit_columns(maps, store.grid()),
                present=present,
                peaks=peaks[present - 1],
                seed=image_seed(seed, record.image_id),
            )
            write_points(path, store, record.image_id, sampler(evidence), half=half)
    return point_counts(folder, records)


def image_seed(seed: int, image_id: str) -> int:
    """A seed of one image's own: a function of (seed, image), whatever was drawn for others."""
    return zlib.crc32(f"{seed}/{image_id}".encode())


def _peaks(folder: Path, records: list[Record], num_classes: int, convention: Convention) -> Tensor:
    """Mean over a class's images of the highest score, (C,): what sec. 4.2 divides by."""
    highest: list[list[Tensor]] = [[] for _ in range(num_classes)]
    for record in records:
        scores, present = read_scores(folder, record.image_id)
        for label, score in zip(present.tolist(), convention(scores), strict=True):
            highest[label - 1].append(score.max())
    return torch.stack([torch.stack(values).mean() for values in highest]).clamp_min(1e-12)


def write_points(path: Path, store: FeatureStore, image_id: str, points: Points, *, half: bool) -> None:
    """Store labelled points of a training image with their features."""
    seen = store.read("train", image_id)
    rows = hypercolumns_at(seen.maps, points.locations, store.grid())
    rows = to_float16(rows, what=f"A feature of {image_id}") if half else rows
    found = {"labels": points.labels, "locations": points.locations}
    write_tensors(path, {"features": rows, "pooled": seen.pooled, **found})


def point_counts(folder: Path, records: list[Record]) -> dict[str, float]:
    """Number of stored points, and of those labelled background."""
    labels = torch.cat([read_tensors(folder / f"{record.image_id}.safetensors")["labels"] for record in records])
    return {"points": float(len(labels)), "background": float((labels == 0).sum())}
