"""Stage: pseudo-labels out of what `wsss data import` left, whoever made it."""

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from wsss_lightning.atomic import replace_file
from wsss_lightning.data.base import Record, SegmentationDataModule, Split
from wsss_lightning.data.imports import note_imported, read_imported
from wsss_lightning.errors import InputError
from wsss_lightning.stages.empty import count_empty
from wsss_lightning.stages.label_pixels import label_records, labeller
from wsss_lightning.stages.refine import Crf


def label_imported(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    imported: str,
    split: Split,
    background: float,
    foreground: float | None,
    crf: Crf | None,
    workers: int,
    progress: bool,
) -> dict[str, float]:
    """Write `masks/<image_id>.png` of those images of `split` that were imported, in the data set's own indices.

    Imported masks stay as they are; CAMs are labelled as `label_pixels` does with `background`, `foreground`, `crf`.

    Args:
        imported: folder that `wsss data import` wrote, of a data set of the same classes.

    Returns:
        `<split>/images`: how many masks there are; `<split>/empty`: the share of tagged ones that are background alone.

    Raises:
        InputError: the folder is no import, or one for other classes, or has none of the images.
    """
    folder, target = Path(imported), Path(out_dir)
    said = read_imported(folder)
    said.require_classes(data.labels.names, folder)
    note_imported(folder)
    records = _present(data.records(split), folder / said.kind)
    if said.kind == "masks":
        for name in (f"masks/{record.image_id}.png" for record in records):
            if not (target / name).exists():
                replace_file(target / name, partial(shutil.copyfile, folder / name))
    else:
        label = labeller(background=background, foreground=foreground, crf=crf)
        label_records(records, folder, out_dir=target, data=data, label=label, processes=workers, progress=progress)
    return {f"{split}/images": float(len(records)), **count_empty(records, target, split)}


def _present(records: Sequence[Record], folder: Path) -> list[Record]:
    names = {path.stem for path in folder.iterdir()} if folder.is_dir() else set()
    present = [record for record in records if record.image_id in names]
    if not present:
        raise InputError(f"{folder} has none of the {len(records):,} images: import for this list of the data set.")
    return present
