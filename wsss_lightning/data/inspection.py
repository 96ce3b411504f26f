"""One image and its mask, opened and looked through; what is wrong is returned, never raised."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsss_lightning.data.findings import FindingKind
from wsss_lightning.data.images import orientation, read_image
from wsss_lightning.data.masks import read_mask
from wsss_lightning.data.samples import Encode, Record, require_image, require_mask, require_size
from wsss_lightning.errors import InputError


class FaultError(Exception):
    """What is wrong with one file: its kind and one sentence with the remedy."""

    def __init__(self, kind: FindingKind, message: str) -> None:
        super().__init__(kind, message)
        self.kind, self.message = kind, message


@dataclass(frozen=True, eq=False)
class Inspection:
    """What became known of one image.

    Args:
        image_id: of its record.
        digest: of the image file's content; None where the image is missing or unreadable.
        shown: (256,) bool, the labels that the mask has a pixel of; None without a faultless mask.
        faults: at most one of the image and one of the mask.
        orientation: of the image file by its EXIF data; 1 where it is stored upright.
    """

    image_id: str
    digest: str | None
    shown: NDArray[np.bool_] | None
    faults: tuple[FaultError, ...]
    orientation: int = 1


def inspect(record: Record, *, encode: Encode, with_mask: bool) -> Inspection:
    """Decode the image of a record completely and, where `with_mask`, compare its mask with what a mask has to be.

    Args:
        record: the image; its tags are not looked at.
        encode: turns the mask's indices into labels, `LabelMap.encode`.
        with_mask: open the mask, where the record can have one.
    """
    digest, shown, turned, faults = None, None, 1, []
    try:
        digest = _digest(record)
        turned = orientation(record.image)
    except FaultError as fault:
        faults.append(fault)
    try:
        if with_mask and record.mask is not None:
            shown = _shown(record, encode=encode, sized=digest is not None)
    except FaultError as fault:
        faults.append(fault)
    return Inspection(record.image_id, digest, shown, tuple(faults), turned)


def _digest(record: Record) -> str:
    with _fault(FindingKind.NO_IMAGE):
        require_image(record)
    with _fault(FindingKind.IMAGE):
        read_image(record.image)
    with record.image.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _shown(record: Record, *, encode: Encode, sized: bool) -> NDArray[np.bool_]:
    with _fault(FindingKind.NO_MASK):
        path = require_mask(record)
    with _fault(FindingKind.MASK):
        mask = read_mask(path)
    if sized:
        with _fault(FindingKind.SIZE):
            require_size(mask, record)
    with _fault(FindingKind.INDEX):
        labels = encode(mask, path)
    return np.bincount(labels.ravel(), minlength=256) > 0


@contextmanager
def _fault(kind: FindingKind) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise FaultError(kind, str(error)) from None
