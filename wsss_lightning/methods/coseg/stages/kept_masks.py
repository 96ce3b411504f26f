"""Masks of single-tag images in one layout, whoever made them, and which of them are kept."""

import csv
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsss_lightning.atomic import replace_file
from wsss_lightning.data.base import Record, SegmentationDataModule
from wsss_lightning.data.images import image_size
from wsss_lightning.data.masks import write_mask
from wsss_lightning.ops.resize import resize_labels

KEPT, OUTCOMES = "kept", ("kept", "empty", "small", "large")
KeptRow = tuple[str, str, float, str]  # image id, class, share of foreground, outcome


def keep_masks(
    folder: Path,
    source: SegmentationDataModule,
    records: Mapping[int, Sequence[Record]],
    mask_of: Callable[[Record], NDArray[np.bool_]],
    *,
    kept: Sequence[float],
) -> dict[str, float]:
    """Write every image's mask and say which are kept: those whose foreground has a share within `kept`.

    `found/<image_id>.png`: all masks, `masks/<image_id>.png`: the kept ones; at the image's own size, 0 or the data
    set's own index of the class. `kept.csv`: each image's class, share of foreground and outcome: "kept", "empty" (no
    object found, or its mask rejected), "small" or "large".

    Args:
        records: images of each label.
        mask_of: foreground of an image at any size, (h, w).
        kept: least and most share.

    Returns:
        `images` and `kept`, and `kept/<class>`, `empty/<class>`, ... : numbers of images.
    """
    rows = []
    for label, of_label in records.items():
        for record in of_label:
            mask = resize_labels(mask_of(record).astype(np.uint8), image_size(record.image))
            outcome, labels = judge_share(float(mask.mean()), kept), source.decode((mask * label).astype(np.uint8))
            for name in ("found", "masks") if outcome == KEPT else ("found",):
                write_mask(folder / name / f"{record.image_id}.png", labels)
            rows.append((record.image_id, source.class_names[label - 1], float(mask.mean()), outcome))
    replace_file(folder / "kept.csv", lambda path: _write(path, rows))
    counts = Counter((outcome, name) for _, name, _, outcome in rows)
    total = {"images": float(len(rows)), KEPT: float(sum(outcome == KEPT for *_, outcome in rows))}
    return total | {f"{each}/{name}": float(counts[each, name]) for name in source.class_names for each in OUTCOMES}


def judge_share(share: float, kept: Sequence[float]) -> str:
    """One of `OUTCOMES` for a foreground that is this share of an image; the ends of `kept` are kept."""
    if share == 0:
        return "empty"
    least, most = kept
    return "small" if share < least else "large" if share > most else KEPT


def read_kept(folder: Path) -> list[KeptRow]:
    """Rows of `kept.csv`."""
    with (folder / "kept.csv").open(newline="") as file:
        return [(row["image_id"], row["class"], float(row["share"]), row["outcome"]) for row in csv.DictReader(file)]


def _write(path: Path, rows: Sequence[KeptRow]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "class", "share", "outcome"])
        writer.writerows((image_id, name, f"{share:.6f}", outcome) for image_id, name, share, outcome in rows)
