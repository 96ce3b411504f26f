"""Masks and class activation maps (CAMs) of other repositories, brought into the data set's own indices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsss_lightning.data.base import Record, SegmentationDataModule, Split
from wsss_lightning.data.images import image_size
from wsss_lightning.data.imports import RECORD, Imported, write_imported
from wsss_lightning.data.labels import IGNORE, LabelMap, Mask
from wsss_lightning.data.masks import read_mask, write_mask
from wsss_lightning.errors import InputError
from wsss_lightning.parallel import in_parallel
from wsss_lightning.scoring.cams import read_cam_maps, write_cam_file
from wsss_lightning.scoring.predictions import PredictionKind, check_prediction_size, find_predictions

_FOLDERS = {PredictionKind.MASKS: "masks", PredictionKind.CAMS: "cams"}
_BACKGROUND, _LEFT_OUT = "background", "(background)"  # a class must not have the former's name


@dataclass(frozen=True)
class Order:
    """Classes of the files, in the order of their indices, and those of the data set."""

    theirs: tuple[str, ...]
    own: tuple[str, ...]

    @property
    def shared(self) -> tuple[str, ...]:
        """Classes of the files, in the data set's order."""
        return tuple(name for name in self.own if name in self.theirs)

    def read_mask(self, path: Path) -> Mask:
        """A mask (H, W) in the data set's indices."""
        labels = LabelMap(self.theirs, self.shared).encode(read_mask(path), path)
        return LabelMap(self.own, self.shared).decode(labels)

    def read_cams(self, path: Path, size: tuple[int, int]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Indices (K,) of the data set, from 1, and their maps (K, *size)."""
        labels, maps = read_cam_maps(path, labels=LabelMap(self.theirs, self.shared), size=size)
        return LabelMap(self.own, self.shared).indices[labels.astype(np.intp) - 1], maps


@dataclass(frozen=True)
class Found:
    """What one file shows: whether classes that are not tagged, and whether it is the data set's own mask."""

    image_id: str
    untagged: bool
    truth: bool


def import_predictions(
    *,
    folder: Path,
    data: SegmentationDataModule,
    split: Split,
    out: Path,
    classes: Sequence[str] | None,
    origin: str,
    supervision: str,
    partial_ok: bool,
    processes: int,
    progress: bool = True,
) -> tuple[Imported, list[str]]:
    """Write `out/masks/<image_id>.png` or `out/cams/<image_id>.npy` (IRNet's form) and `out/import.json`, last.

    Args:
        folder: of index PNGs or `.npy` dictionaries of CAMs, `<image_id>` their names.
        data: whose images, tags and class order they are checked with; masks of its own are looked at only to tell
            whether the files are copies of them.
        split: whose images.
        classes: of the files, in the order of their indices, "background" first where CAMs count from 1; None where it
            is the data set's.
        origin: whose they are.
        supervision: what they were made from.
        partial_ok: images without a file are left out.

    Returns:
        What is said of the import, and the ids of images that show a class which is none of their tags.

    Raises:
        InputError: `out` is there already, files are missing or at fault, `classes` names an unknown one, or most
            images show classes that are none of their tags.
    """
    if (out / RECORD).exists():
        raise InputError(f"{out} holds an import already: give --out another folder, or delete this one.")
    records = data.records(split)
    predictions = find_predictions(folder, [record.image_id for record in records])
    order = _order(classes, data.labels.names, kind=predictions.kind)
    if predictions.missing and not partial_ok:
        raise InputError(
            f"{folder} has no file of {len(predictions.missing):,} of the {len(records):,} images of {split}, such as "
            f"{predictions.missing[0]}: add them, or import what is there with --partial."
        )
    present = [record for record in records if record.image_id in {*predictions.predicted}]
    work = partial(_check, folder=folder, kind=predictions.kind, order=order, kept=data.class_names)
    entries = [*in_parallel(work, present, processes=processes, description="reading", progress=progress)]
    untagged = [entry.image_id for entry in entries if entry.untagged]
    _require_order(untagged, len(entries), folder)
    write = partial(_write, folder=folder, kind=predictions.kind, order=order, out=out)
    for _ in in_parallel(write, present, processes=processes, description="writing", progress=progress):
        pass
    imported = Imported(
        kind=_FOLDERS[predictions.kind],
        names=order.own,
        images=len(present),
        missing=len(predictions.missing),
        truth=sum(entry.truth for entry in entries),
        origin=origin,
        supervision=supervision,
    )
    write_imported(out, imported)
    return imported, untagged


def _order(classes: Sequence[str] | None, own: tuple[str, ...], *, kind: PredictionKind) -> Order:
    """The background may come first in `classes`: masks have it at 0 in any case, CAMs where they count from 1."""
    theirs = own if classes is None else tuple(classes)
    leads = theirs[:1] == (_BACKGROUND,)
    theirs = theirs[1:] if leads else theirs
    unknown = [name for name in theirs if name not in own]
    if unknown:
        raise InputError(f"--classes: {unknown[0]!r} is no class of the data set: choose from {', '.join(own)}.")
    return Order((_LEFT_OUT, *theirs) if leads and kind is PredictionKind.CAMS else theirs, own)


def _require_order(untagged: Sequence[str], images: int, folder: Path) -> None:
    if 2 * len(untagged) > images:
        raise InputError(
            f"{len(untagged):,} of {images:,} files of {folder} show classes that are none of their image's tags, such "
            f"as that of {untagged[0]}: its order of classes is another one, say it with --classes (background first "
            "where CAMs count from 1)."
        )


def _check(record: Record, *, folder: Path, kind: PredictionKind, order: Order, kept: Sequence[str]) -> Found:
    path, size = folder / f"{record.image_id}{kind}", image_size(record.image)
    truth = False
    if kind is PredictionKind.MASKS:
        mask = order.read_mask(path)
        check_prediction_size(mask.shape, size, path)
        shown = {int(index) for index in np.unique(mask)} - {0, IGNORE}
        truth = bool(shown) and _is_truth(mask, record)
    else:
        shown = {*order.read_cams(path, size)[0].tolist()}
    tagged = {name for name, tag in zip(kept, record.tags, strict=True) if tag}
    untagged = {order.own[index - 1] for index in shown} & {*kept} - tagged
    return Found(record.image_id, bool(untagged), truth)


def _is_truth(mask: Mask, record: Record) -> bool:
    return record.mask is not None and record.mask.is_file() and np.array_equal(mask, read_mask(record.mask))


def _write(record: Record, *, folder: Path, kind: PredictionKind, order: Order, out: Path) -> None:
    path, target = folder / f"{record.image_id}{kind}", out / _FOLDERS[kind] / f"{record.image_id}{kind}"
    if kind is PredictionKind.MASKS:
        write_mask(target, order.read_mask(path))
    else:
        indices, maps = order.read_cams(path, image_size(record.image))
        write_cam_file(target, classes=indices.astype(np.int64) - 1, maps=maps)
