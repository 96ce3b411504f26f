"""Stage: masks of one class against the ground truth of the val images (patches sec. 4, Table 2)."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning.loggers import Logger
from torch import Tensor

from wsss_lightning.data.base import Record, SegmentationDataModule
from wsss_lightning.data.patches import target_index
from wsss_lightning.metrics.segmentation import confusion_matrix
from wsss_lightning.metrics.single_class import accuracies, one_against_all
from wsss_lightning.progress import track
from wsss_lightning.scoring.predictions import read_labels
from wsss_lightning.stages.evaluate import draw_panel, panel_records, write_panel
from wsss_lightning.stages.io import write_array, write_json
from wsss_lightning.stages.loggers import finished, log_pictures, log_scalars, log_stage


def evaluate_patches(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    masks: str,
    extra_masks: Mapping[str, str],
    extra_panels: str | None,
    target: str,
    panels: int,
    loggers: Mapping[str, Logger],
    progress: bool,
) -> dict[str, float]:
    """Score a folder of index PNGs of the class `target`: `val/ap`, `val/foreground` and `val/background`.

    Pixels of all other classes are background, those of 255 do not count. Writes what `evaluate` does, with two labels
    and pictures of images that show the class; `extra_masks`, `extra_panels`: see there.
    """
    index, records, folder = target_index(data, target), data.records("val"), Path(out_dir)
    seen = track(records, description="evaluation", total=len(records), enabled=progress)
    matrices = torch.stack([_compare(record, data, Path(masks), label=index + 1) for record in seen])
    write_array(folder / "confusion.npy", matrices.numpy())
    write_json(folder / "images.json", [record.image_id for record in records])
    names = ["background", *data.class_names]
    write_json(folder / "classes.json", {"names": names, "indices": [0, *data.labels.indices.tolist()]})
    shown = panel_records([record for record in records if record.tags[index]], panels)
    pictures = {record.image_id: draw_panel(record, data, {**extra_masks, "prediction": masks}) for record in shown}
    for image_id, columns in pictures.items():
        write_panel(folder / "panels" / image_id, columns, extra_panels)
    metrics = {f"val/{name}": value for name, value in accuracies(matrices.sum(dim=0)).items()}
    _log(loggers, folder, metrics, pictures)
    return metrics


def _compare(record: Record, data: SegmentationDataModule, masks: Path, *, label: int) -> Tensor:
    truth = data.read_target(record)
    found = read_labels(masks / f"{record.image_id}.png", labels=data.labels, target=truth).winners
    predicted, target = (one_against_all(torch.from_numpy(mask), label=label) for mask in (found, truth))
    return confusion_matrix(predicted, target, num_labels=2)


def _log(
    loggers: Mapping[str, Logger],
    folder: Path,
    metrics: Mapping[str, float],
    pictures: Mapping[str, Mapping[str, NDArray[np.uint8]]],
) -> None:
    with finished(loggers):
        log_stage(loggers, folder)
        log_scalars(loggers, metrics)
        log_pictures(loggers, "val/overlays", {name: np.hstack(list(row.values())) for name, row in pictures.items()})
