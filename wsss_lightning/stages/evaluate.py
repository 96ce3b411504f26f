"""Stage: predictions against ground truth, one confusion matrix over the split."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning.loggers import Logger
from torch import Tensor

from wsss_lightning.data.base import Record, SegmentationDataModule
from wsss_lightning.data.images import read_image
from wsss_lightning.data.masks import colorize, read_mask
from wsss_lightning.errors import InputError
from wsss_lightning.metrics.segmentation import confusion_matrix, iou, mean_accuracy, mean_iou, pixel_accuracy
from wsss_lightning.progress import track
from wsss_lightning.scoring.predictions import read_labels
from wsss_lightning.stages.io import write_array, write_json, write_picture
from wsss_lightning.stages.loggers import finished, log_pictures, log_scalars, log_stage, log_table


def evaluate(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    masks: str,
    extra_masks: Mapping[str, str],
    extra_panels: str | None,
    groups: Mapping[str, Sequence[str]],
    panels: int,
    loggers: Mapping[str, Logger],
    progress: bool,
) -> dict[str, float]:
    """Score a folder of index PNGs on the val images; what is scored was made without val masks.

    Writes `confusion.npy` (N, L, L) int64, one matrix per image in the order of `images.json`, `classes.json`, and
    `panels/<image_id>/{image,truth,prediction}.png` of `panels` images. Further pictures of the same images: those of
    `extra_masks`, folders of index PNGs by the name that their pictures get, and copies of those below `extra_panels`.
    Fractions, not per cent. `groups`: names of classes whose mean IoU, background included, is reported by itself as
    `val/miou/<group>`.
    """
    records, folder = data.records("val"), Path(out_dir)
    seen = track(records, description="evaluation", total=len(records), enabled=progress)
    matrices = torch.stack([_compare(record, data, Path(masks)) for record in seen])
    write_array(folder / "confusion.npy", matrices.numpy())
    write_json(folder / "images.json", [record.image_id for record in records])
    shown = panel_records(records, panels)
    pictures = {record.image_id: draw_panel(record, data, {**extra_masks, "prediction": masks}) for record in shown}
    for image_id, columns in pictures.items():
        write_panel(folder / "panels" / image_id, columns, extra_panels)
    metrics = summary(matrices.sum(dim=0), data.class_names)
    metrics |= {f"val/miou/{name}": mean_over(metrics, classes) for name, classes in groups.items()}
    write_json(folder / "classes.json", _classes(data, matrices.sum(dim=0)))
    with finished(loggers):
        log_stage(loggers, folder)
        log_scalars(loggers, metrics)
        log_table(loggers, "val/iou_per_class", ["class", "iou"], _rows(metrics))
        log_pictures(loggers, "val/overlays", {k: np.hstack(list(v.values())) for k, v in pictures.items()})
    return metrics


def summary(confusion: Tensor, class_names: tuple[str, ...]) -> dict[str, float]:
    """mIoU, accuracies and IoU per class, from one confusion matrix (L, L); fractions, nan for absent classes."""
    per_class = zip(("background", *class_names), iou(confusion).tolist(), strict=True)
    whole = {
        "val/miou": mean_iou(confusion),
        "val/pixel_accuracy": pixel_accuracy(confusion),
        "val/mean_accuracy": mean_accuracy(confusion),
    }
    return whole | {f"val/iou/{name}": value for name, value in per_class}


def mean_over(metrics: Mapping[str, float], classes: Sequence[str]) -> float:
    """Mean IoU of background and some classes of a `summary`, absent ones (nan) left out."""
    return float(np.nanmean([metrics[f"val/iou/{name}"] for name in ("background", *classes)]))


def panel_records(records: list[Record], count: int) -> list[Record]:
    """`count` images with tags, spread evenly over a list: the ones that reports show."""
    records = [record for record in records if record.tags.any()]
    return records[:: max(len(records) // count, 1)][:count] if count else []


def _compare(record: Record, data: SegmentationDataModule, masks: Path) -> Tensor:
    path = masks / f"{record.image_id}.png"
    if not path.is_file():
        raise InputError(f"There is no prediction {path}: delete the folder above it to compute the stage again.")
    target = data.read_target(record)
    predicted = read_labels(path, labels=data.labels, target=target).winners
    return confusion_matrix(torch.from_numpy(predicted), torch.from_numpy(target), data.num_classes + 1)


def draw_panel(
    record: Record, data: SegmentationDataModule, folders: Mapping[str, str]
) -> dict[str, NDArray[np.uint8]]:
    """An image, its truth and the index PNGs of some folders, each (H, W, 3) by its name."""
    masks = {name: read_mask(Path(folder) / f"{record.image_id}.png") for name, folder in folders.items()}
    columns = {"truth": data.decode(data.read_target(record)), **masks}
    return {"image": read_image(record.image)} | {name: colorize(mask) for name, mask in columns.items()}


def write_panel(folder: Path, columns: Mapping[str, NDArray[np.uint8]], extra_panels: str | None) -> None:
    """Write pictures by name into an image's folder, and copy those that its namesake below `extra_panels` holds."""
    for name, picture in columns.items():
        write_picture(folder / f"{name}.png", picture)
    if extra_panels is not None:
        shutil.copytree(Path(extra_panels) / folder.name, folder, dirs_exist_ok=True)


def _classes(data: SegmentationDataModule, confusion: Tensor) -> dict[str, list[Any]]:
    """Per label its name, the data set's own index, its IoU (null where it is absent) and its pixels."""
    return {
        "names": ["background", *data.class_names],
        "indices": [0, *data.labels.indices.tolist()],
        "iou": [None if np.isnan(value) else value for value in iou(confusion).tolist()],
        "pixels": confusion.sum(dim=1).tolist(),
    }


def _rows(metrics: Mapping[str, float]) -> list[tuple[str, float]]:
    return [(name.rpartition("/")[2], value) for name, value in metrics.items() if name.startswith("val/iou/")]
