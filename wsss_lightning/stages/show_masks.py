"""Stage: masks of the same images, found in different ways, side by side (coseg fig. 2)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from wsss_lightning.data.base import Record, SegmentationDataModule
from wsss_lightning.data.images import read_image
from wsss_lightning.data.masks import colorize, read_mask
from wsss_lightning.stages.evaluate import panel_records, write_panel
from wsss_lightning.stages.io import write_json


def show_masks(
    *, out_dir: str, source: SegmentationDataModule, masks: Mapping[str, str], panels: int
) -> dict[str, float]:
    """Draw `panels` training images of `source`, spread evenly over those that all stages of `masks` have a mask of.

    `masks`: folders of `cosegment` or `segment_by_...` stages by the name that their pictures get; a mask that is not
    kept is drawn, too. Writes pictures as `evaluate` does, and returns the share of the images drawn from whose mask
    each stage keeps, `train/kept/<name>`. Ground truth is not opened.
    """
    folders = {name: Path(folder) for name, folder in masks.items()}
    records = [
        record
        for record in source.records("train")
        if all((folder / "found" / f"{record.image_id}.png").is_file() for folder in folders.values())
    ]
    for record in panel_records(records, panels):
        found = {name: read_mask(folder / "found" / f"{record.image_id}.png") for name, folder in folders.items()}
        pictures = {"image": read_image(record.image)} | {name: colorize(mask) for name, mask in found.items()}
        write_panel(Path(out_dir) / "panels" / record.image_id, pictures, extra_panels=None)
    classes = {"names": ["background", *source.class_names], "indices": [0, *source.labels.indices.tolist()]}
    write_json(Path(out_dir) / "classes.json", classes)
    return {f"train/kept/{name}": _share(folder, records) for name, folder in folders.items()}


def _share(folder: Path, records: Sequence[Record]) -> float:
    kept = sum((folder / "masks" / f"{record.image_id}.png").is_file() for record in records)
    return kept / max(len(records), 1)
