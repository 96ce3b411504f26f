"""Stage: masks against ground truth, one confusion matrix per image."""

import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning.loggers import Logger
from torch import Tensor

from wsss_lightning.data.base import Record, SegmentationDataModule, Split
from wsss_lightning.data.images import read_image
from wsss_lightning.data.labels import LabelMap
from wsss_lightning.data.masks import colorize, read_mask
from wsss_lightning.data.target import target_index
from wsss_lightning.errors import InputError
from wsss_lightning.metrics.segmentation import (
    iou,
    mean_accuracy,
    mean_iou,
    over_activation,
    pixel_accuracy,
    precision,
    recall,
)
from wsss_lightning.metrics.single_class import accuracies
from wsss_lightning.scoring.comparison import FOREGROUND, image_confusion, measure_images, require_foreground
from wsss_lightning.stages.io import write_array, write_json, write_picture
from wsss_lightning.stages.loggers import closing_loggers, log_scalars, log_stage
from wsss_lightning.stages.records import draw_records

OPENS = "masks"  # of the split that it is given; a run looks for them before it begins


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
    split: Split = "val",
    target: str | None = None,
    foreground: bool = False,
    share: float = 1.0,
    share_seed: int = 0,
    processes: int = 0,
) -> dict[str, float]:
    """Score a folder of index PNGs on the images of a split, whose masks it opens; fractions, not per cent.

    Writes `confusion.npy` (N, L, L) int64, one matrix per image in the order of `images.json`, `classes.json`, and
    `panels/<image_id>/{image,truth,prediction}.png` of `panels` images. Further pictures of the same images: those of
    `extra_masks`, folders of index PNGs by the name that their pictures get, and copies of those below `extra_panels`.

    Args:
        groups: names of classes whose mean IoU, background included, is reported by itself as `<split>/miou/<group>`.
        target: a class that is scored against all else: `<split>/ap`, `<split>/foreground`, `<split>/background`.
        foreground: the masks are 0 and 1, and all classes are foreground.
        share: of the images, at least one, drawn with `share_seed`.
        processes: how many compare masks; 0 for as many as are worth starting.

    Raises:
        InputError: a mask is missing or at fault, no truth has a pixel of a class, or more than one of `groups`,
            `target` and `foreground` is asked for.
    """
    if (target is not None) + foreground + bool(groups) > 1:
        raise InputError("evaluate takes one of groups, target and foreground: add a stage for each of the others.")
    records, folder = random_share(data.records(split), share=share, seed=share_seed), Path(out_dir)
    label = None if target is None else target_index(data, target) + 1
    measure = partial(image_confusion, folder=Path(masks), labels=data.labels, label=label, foreground=foreground)
    each = measure_images(records, measure, processes=processes, description="evaluation", progress=progress)
    matrices, labels = torch.stack(list(each)), FOREGROUND if foreground else data.labels
    whole = matrices.sum(dim=0)
    if target is None:
        require_foreground(whole.sum(dim=1), records, where=f"the {split} split (list {data.lists[split]})")
    write_array(folder / "confusion.npy", matrices.numpy())
    write_json(folder / "images.json", [record.image_id for record in records])
    write_json(folder / "classes.json", _classes(labels) | (_figures(whole) if target is None else {}))
    shown = records if label is None else [record for record in records if record.tags[label - 1]]
    folders = {**extra_masks, "prediction": masks}
    pictures = {record.image_id: draw_panel(record, data, folders) for record in panel_records(shown, panels)}
    for image_id, columns in pictures.items():
        write_panel(folder / "panels" / image_id, columns, extra_panels)
    values = segmentation_metrics(whole, labels.kept) if target is None else accuracies(whole)
    values |= {f"miou/{name}": mean_over(values, classes) for name, classes in groups.items()}
    metrics = {f"{split}/{name}": value for name, value in values.items()}
    with closing_loggers(loggers):
        log_stage(loggers, folder)
        log_scalars(loggers, metrics)
    return metrics


def random_share(records: list[Record], *, share: float, seed: int) -> list[Record]:
    """A random share in 0..1 of the records, at least one, in their order."""
    return draw_records(records, max(round(share * len(records)), 1), seed=seed)


def segmentation_metrics(confusion: Tensor, class_names: tuple[str, ...]) -> dict[str, float]:
    """mIoU, accuracies and IoU per class, from one confusion matrix (L, L); fractions, nan for absent classes.

    `precision`, `recall` and `over_activation` (of `metrics.segmentation`) are means over the classes, without
    background.
    """
    per_class = zip(("background", *class_names), iou(confusion).tolist(), strict=True)
    whole = {
        "miou": mean_iou(confusion),
        "pixel_accuracy": pixel_accuracy(confusion),
        "mean_accuracy": mean_accuracy(confusion),
        "precision": float(precision(confusion)[1:].nanmean()),
        "recall": float(recall(confusion)[1:].nanmean()),
        "over_activation": float(over_activation(confusion)[1:].nanmean()),
    }
    return whole | {f"iou/{name}": value for name, value in per_class}


def mean_over(metrics: Mapping[str, float], classes: Sequence[str]) -> float:
    """Mean IoU of background and some classes of `segmentation_metrics`, absent ones (nan) left out."""
    return float(np.nanmean([metrics[f"iou/{name}"] for name in ("background", *classes)]))


def panel_records(records: list[Record], count: int) -> list[Record]:
    """`count` images with tags, spread evenly over a list: the ones that reports show."""
    records = [record for record in records if record.tags.any()]
    return records[:: max(len(records) // count, 1)][:count] if count else []


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
        hidden = shutil.ignore_patterns(".*")
        shutil.copytree(Path(extra_panels) / folder.name, folder, ignore=hidden, dirs_exist_ok=True)


def _classes(labels: LabelMap) -> dict[str, list[Any]]:
    """Per label its name and the data set's own index."""
    return {"names": ["background", *labels.kept], "indices": [0, *labels.indices.tolist()]}


def _figures(confusion: Tensor) -> dict[str, list[Any]]:
    """Per label its IoU (null where it is absent) and its pixels."""
    ious = [None if np.isnan(value) else value for value in iou(confusion).tolist()]
    return {"iou": ious, "pixels": confusion.sum(dim=1).tolist()}
