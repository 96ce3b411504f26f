"""Stage: how good masks of training images are. It opens their ground truth, to judge and never to train."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsss_lightning.data.base import Record, SegmentationDataModule
from wsss_lightning.data.labels import IGNORE
from wsss_lightning.data.masks import read_mask
from wsss_lightning.metrics.segmentation import confusion_matrix, iou, mean_iou
from wsss_lightning.progress import track
from wsss_lightning.stages.io import write_array, write_json
from wsss_lightning.stages.make_masks import Kind


def judge_masks(
    *, out_dir: str, data: SegmentationDataModule, masks: str, kind: Kind, share: float, seed: int, progress: bool
) -> dict[str, float]:
    """`train/miou` and `train/iou/<label>` of a random `share` of the training images, drawn with `seed`.

    For kind "foreground" the two labels are background and foreground, all classes alike. Writes `confusion.npy`
    (N, L, L) in the order of `images.json`, as `evaluate` does. Fractions; nan for a label in neither.
    """
    records, folder = draw(data.records("train"), share=share, seed=seed), Path(out_dir)
    names = ("foreground",) if kind == "foreground" else data.class_names
    seen = track(records, description="judging masks", total=len(records), enabled=progress)
    matrices = torch.stack([_compare(record, data, Path(masks), kind, labels=len(names) + 1) for record in seen])
    write_array(folder / "confusion.npy", matrices.numpy())
    write_json(folder / "images.json", [record.image_id for record in records])
    whole = matrices.sum(dim=0)
    per_label = zip(("background", *names), iou(whole).tolist(), strict=True)
    return {"train/miou": mean_iou(whole)} | {f"train/iou/{name}": value for name, value in per_label}


def draw(records: list[Record], *, share: float, seed: int) -> list[Record]:
    """A random share in 0..1 of the records, at least one, in their order."""
    count = max(round(share * len(records)), 1)
    chosen = np.random.default_rng(seed).permutation(len(records))[:count]
    return [records[index] for index in sorted(chosen.tolist())]


def _compare(record: Record, data: SegmentationDataModule, masks: Path, kind: Kind, *, labels: int) -> Tensor:
    path = masks / f"{record.image_id}.png"
    target, mask = data.read_target(record), read_mask(path)
    if kind == "foreground":
        target = any_class(target)
    else:
        mask = data.encode(mask, path)
    return confusion_matrix(torch.from_numpy(mask), torch.from_numpy(target), labels)


def any_class(target: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Labels -> 0 background, 1 any class, 255 ignored."""
    return np.where(target == IGNORE, target, target > 0).astype(np.uint8)
