"""Stage: class activation maps in the place of the localizers' score maps."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wsss_lightning.data.base import Record, SegmentationDataModule, Split
from wsss_lightning.data.stored_maps import StoredMaps
from wsss_lightning.methods.points.stages.features import Stored, opened
from wsss_lightning.methods.points.stages.localize import score_path
from wsss_lightning.nn.class_activation import activation_sum
from wsss_lightning.nn.hypercolumns import Size
from wsss_lightning.nn.trunk import Variant
from wsss_lightning.ops.resize import resize_maps
from wsss_lightning.stages.empty import report_empty
from wsss_lightning.stages.io import read_tensors, write_tensors
from wsss_lightning.stages.missing import write_missing
from wsss_lightning.stages.predict import load_fitting

_FINER = 4  # than the grid: pixels of an image of the paper's size, averaged over each of its cells


def activation_scores(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    features: Stored,
    tag_classifier: str,
    maps: str,
    split: Split,
    tagged_only: bool,
    workers: int,
    progress: bool,
) -> dict[str, float]:
    """Store what `stages.localize.localize` does, S the classifier's row at every cell, summed over scales and mirrors.

    S keeps its sign and scale, S̄ is 0. `<split>/empty`: the share of maps of tags that are positive nowhere.

    Args:
        features: whose grid is taken.
        tag_classifier: folder of a `fit_tag_classifier.fit_tag_classifier` stage.
        maps: folder of the `store_maps` stage of `split`, the variants that the classifier looks at.
        tagged_only: score the image's tags, or all classes.
    """
    model: Any = load_fitting(tag_classifier, data)
    folder, records = Path(out_dir), data.records(split)
    work = partial(
        _score_one,
        folder=folder,
        maps=StoredMaps(Path(maps)),
        rows=model.linear.weight.detach(),
        variants=model.variants,
        grid=opened(features).grid(),
        corners=model.trunk.corners,
        tagged_only=tagged_only,
    )
    about = f"activation maps, {split}"
    write_missing(work, records, folder, processes=workers, description=about, progress=progress, kind="safetensors")
    dead = torch.cat([_dead(folder, record) for record in records])
    what = f"class activation maps of {split}"
    return {f"{split}/empty": report_empty(int(dead.sum()), len(dead), what=what)}


def _score_one(
    record: Record,
    *,
    folder: Path,
    maps: StoredMaps,
    rows: Tensor,
    variants: list[Variant],
    grid: Size,
    corners: bool,
    tagged_only: bool,
) -> None:
    present = torch.from_numpy(np.flatnonzero(record.tags | (not tagged_only)))
    names = {variant: f"{variant.name}/deep" for variant in variants}
    read = maps.read(record.image_id, list(names.values()))
    finer = (_FINER * grid[0], _FINER * grid[1])
    deep = {variant: read[name] for variant, name in names.items()}
    total = activation_sum(deep, rows[present], finer, corners=corners)
    scores = resize_maps(total[None], grid)[0]
    both = torch.stack([scores, torch.zeros_like(scores)], dim=1)
    write_tensors(score_path(folder, record.image_id), {"scores": both, "present": present + 1})


def _dead(folder: Path, record: Record) -> Tensor:
    """Which maps of an image's tags are positive nowhere, (F,) bool."""
    stored = read_tensors(score_path(folder, record.image_id))
    tagged = torch.from_numpy(record.tags)[stored["present"] - 1]
    return stored["scores"][tagged, 0].amax(dim=(1, 2)) <= 0
