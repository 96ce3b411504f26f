"""Folders of masks or class activation maps (CAMs) that `wsss data import` has left: what is said of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from wsss_lightning.atomic import write_json
from wsss_lightning.errors import InputError
from wsss_lightning.opened import note_import

RECORD = "import.json"


@dataclass(frozen=True)
class Imported:
    """What an import says of itself.

    Args:
        kind: "masks" (`masks/<image_id>.png`) or "cams" (`cams/<image_id>.npy`, IRNet's form); also the folder's name.
        names: classes of the data set, whose indices, from 1 in masks and from 0 in CAMs, the files have.
        images: how many there are.
        missing: images of the list that have none.
        truth: masks that are the data set's own, pixel for pixel.
        origin: whose they are, as the user said.
        supervision: what they were made from, as the user said.
    """

    kind: str
    names: tuple[str, ...]
    images: int
    missing: int
    truth: int
    origin: str
    supervision: str

    @property
    def labels(self) -> str:
        """What they are, for a card."""
        return f"imported: {self.kind} of {self.origin}, {self.images:,} of {self.images + self.missing:,} images"

    @property
    def made_from(self) -> str:
        """The supervision of what learns from them, for a card."""
        if self.truth:
            return f"ground-truth masks of {self.truth:,} training images, imported"
        return f"{self.supervision} (as said of what was imported)"

    def require_classes(self, names: Sequence[str], folder: Path) -> None:
        """Raise `InputError` where a data set has other classes, or another order of them."""
        if tuple(names) != self.names:
            raise InputError(
                f"{folder} was imported for the classes {', '.join(self.names)}, the data set's are "
                f"{', '.join(names)}: import it again for this data set."
            )


def write_imported(folder: Path, imported: Imported) -> None:
    """Write the record, which makes a folder an import: last."""
    write_json(folder / RECORD, asdict(imported))


def read_imported(folder: Path) -> Imported:
    """The record of a folder.

    Raises:
        InputError: the folder has none, or a damaged one.
    """
    try:
        content = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return Imported(**content | {"names": tuple(content["names"])})
    except (OSError, ValueError, TypeError, KeyError):
        raise InputError(f"{folder} has no readable {RECORD}: have `wsss data import` write the folder.") from None


def note_imported(folder: Path) -> None:
    """Have the card say so where a folder is an import."""
    if (folder / RECORD).is_file():
        said = read_imported(folder)
        note_import(said.labels, supervision=said.made_from)
