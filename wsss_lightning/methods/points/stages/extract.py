"""Stage: hypercolumns of every image by one pass of the backbone (points sec. 4.1)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Subset

from wsss_lightning.data.base import SegmentationDataModule, Split
from wsss_lightning.methods.points.stages.features import FeatureStore
from wsss_lightning.nn.backbones import Backbone, Features, check_statistics
from wsss_lightning.nn.hypercolumns import Size
from wsss_lightning.progress import track
from wsss_lightning.stages.device import choose_device


def extract(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    backbone: Backbone,
    splits: Sequence[Split],
    grid_stride: int,
    global_features: bool,
    half: bool,
    accelerator: str,
    workers: int,
    progress: bool,
) -> dict[str, float]:
    """Store the maps of all layers, the global vector and, where `splits` hold train, the statistics of its images.

    `grid_stride`: input pixels per grid cell (paper: 4); `half`: store float16, refused where a value exceeds it.
    """
    check_statistics(backbone, data.mean, data.std)
    if global_features:
        backbone.require_global()
    store = FeatureStore(Path(out_dir))
    device = choose_device(accelerator)
    backbone.to(device)
    grid = _grid(data, grid_stride)
    for split in splits:
        loader = _missing(store, data, split, workers=workers)
        for batch in track(loader, description=f"hypercolumns, {split}", total=len(loader), enabled=progress):
            with torch.inference_mode():
                seen = backbone.features(batch["image"].to(device), with_global=global_features)
            _write(store, split, batch["image_id"], seen, grid, half=half)
    store.write_grid(grid)
    if "train" in splits:
        store.write_statistics("train", [record.image_id for record in data.records("train")])
    return {"images": float(sum(len(data.records(split)) for split in splits))}


def _grid(data: SegmentationDataModule, stride: int) -> Size:
    if data.size is None or isinstance(data.size, int):
        raise ValueError("Hypercolumns share one grid: `data.size` must be given.")
    return data.size[0] // stride, data.size[1] // stride


def _missing(store: FeatureStore, data: SegmentationDataModule, split: Split, *, workers: int) -> DataLoader[Any]:
    dataset = data.dataset(split)
    ids = [record.image_id for record in data.records(split)]
    indices = [index for index, image_id in enumerate(ids) if not store.path(split, image_id).exists()]
    return DataLoader(Subset(dataset, indices), batch_size=data.batch_size, num_workers=workers)


def _write(store: FeatureStore, split: str, ids: list[str], seen: Features, grid: Size, *, half: bool) -> None:
    for index, image_id in enumerate(ids):
        part = slice(index, index + 1)
        one = Features(maps=[m[part] for m in seen.maps], pooled=seen.pooled[part])
        store.write(split, image_id, one, grid, half=half)
