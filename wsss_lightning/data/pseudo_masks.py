"""Masks of one's own, made from tags, in the place of the ground truth."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from wsss_lightning.data.imports import note_imported
from wsss_lightning.data.samples import Record
from wsss_lightning.errors import InputError

log = logging.getLogger(__name__)

Missing = Literal["raise", "drop"]


def with_pseudo_masks(records: Sequence[Record], folder: Path, *, missing: Missing) -> list[Record]:
    """The records with `folder/<image_id>.png` as their masks; where ground truth lies is forgotten.

    Args:
        records: of the images.
        folder: of the masks.
        missing: "raise", or "drop" the images that have none and log how many those are.

    Raises:
        InputError: a mask does not exist and `missing` is "raise", none exists at all, or `missing` is another word.
    """
    if missing not in ("raise", "drop"):
        raise InputError(f"missing={missing!r} is unknown: choose raise or drop.")
    note_imported(folder.parent)
    placed = [replace(record, mask=folder / f"{record.image_id}.png") for record in records]
    kept = [record for record in placed if record.mask is not None and record.mask.is_file()]
    absent = sorted({record.image_id for record in placed} - {record.image_id for record in kept})
    share = f"{len(absent):,} of {len(placed):,} images have no mask"
    if absent and missing == "raise":
        raise InputError(f'{folder / absent[0]}.png does not exist, {share}: make all, or set missing="drop".')
    if not kept:
        raise InputError(f"{folder} has none of the masks: there is no image to train on.")
    if absent:
        log.warning("%s in %s: they are left out", share, folder)
    return kept
