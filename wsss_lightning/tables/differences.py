"""A row minus the reference row, with its bootstrap interval where the per-image matrices are at hand."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from wsss_lightning.tables.bootstrap import foreground_iou, mean_ious, paired_interval
from wsss_lightning.tables.committed import Committed, pair_keys
from wsss_lightning.tables.results import CHANGED, COMPUTED, Difference, Result, Row

# What can be computed again from confusion matrices.
_SCORES = {"val/miou": mean_ious, "train/miou": mean_ious, "val/ap": foreground_iou}


def difference(row: Row, reference: Row, *, metric: str, store: Path, committed: Committed) -> Difference | None:
    """The difference over the seeds that both rows have; the committed one where both rows are committed results."""
    keys = pair_keys(row, reference)
    if keys in committed.differences and not any(_is_local(r) for r in [*row.measured, *reference.measured]):
        return committed.differences[keys]
    others = {result.seed: result for result in reference.measured}
    pairs = [(result, others[result.seed]) for result in row.measured if result.seed in others]
    if not pairs:
        return None
    value = fmean((ours.value or 0.0) - (theirs.value or 0.0) for ours, theirs in pairs)
    plain = Difference(value, low=None, high=None, seeds=[ours.seed for ours, _ in pairs], images=None)
    return _with_interval(plain, pairs, store, metric)


def _with_interval(plain: Difference, pairs: list[tuple[Result, Result]], store: Path, metric: str) -> Difference:
    if not all(_is_local(result) for pair in pairs for result in pair):
        return plain
    ours, theirs = ([store / result.folder for result in side] for side in zip(*pairs, strict=True))
    bounds = interval(ours, theirs, metric=metric)
    if bounds is None:
        return plain
    low, high, images = bounds
    return replace(plain, low=low, high=high, images=images, over_seeds=len(pairs) > 1)


def interval(
    ours: Sequence[Path | None], theirs: Sequence[Path | None], *, metric: str
) -> tuple[float, float, int] | None:
    """The paired bootstrap interval of a difference in `metric`, and of how many images it is.

    Args:
        ours: folders of `evaluate`, one for each seed.
        theirs: likewise, of the reference.
        metric: one that can be computed again from confusion matrices; None is returned of any other, and where the
            results are not of the same images or kept no matrix of each.
    """
    folders = [folder for folder in (*ours, *theirs) if folder is not None]
    if metric not in _SCORES or len(folders) < 2 * len(ours) or not _same_images(folders):
        return None
    sides = _matrices(folders[: len(ours)]), _matrices(folders[len(ours) :])
    if sides[0].shape != sides[1].shape:
        return None
    return *paired_interval(*sides, score=_SCORES[metric]), sides[0].shape[1]


def _is_local(result: Result) -> bool:
    return result.status in {COMPUTED, CHANGED}


def _same_images(folders: list[Path]) -> bool:
    """Whether all results were evaluated on one list of images and kept a matrix of each."""
    if not all((folder / name).is_file() for folder in folders for name in ("images.json", "confusion.npy")):
        return False
    lists = [json.loads((folder / "images.json").read_text()) for folder in folders]
    return bool(lists[0]) and all(images == lists[0] for images in lists)


def _matrices(folders: list[Path]) -> NDArray[np.int64]:
    """(S, N, L, L), one seed after the other."""
    return np.stack([np.load(folder / "confusion.npy", allow_pickle=False) for folder in folders])
