"""The data set's own mask indices and the contiguous labels that networks and metrics use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsss_lightning.data.names import require_class_names
from wsss_lightning.errors import InputError

Mask = NDArray[np.uint8]
IGNORE = 255


@dataclass(frozen=True)
class LabelMap:
    """The data set's mask indices (its classes are 1..len(names)) and the contiguous labels 0..C of the kept ones."""

    names: tuple[str, ...]
    kept: tuple[str, ...]

    def __post_init__(self) -> None:
        require_class_names(self.names, "data.names")
        unknown = [name for name in self.kept if name not in self.names]
        if unknown or not self.kept or len(set(self.kept)) < len(self.kept):
            reason = f"{unknown[0]!r} is unknown" if unknown else "it is empty or names a class twice"
            raise InputError(f"classes={list(self.kept)}: {reason}; choose from {', '.join(self.names)}.")

    @property
    def indices(self) -> NDArray[np.intp]:
        """(C,) the data set's own index of each kept class."""
        return np.array([self.names.index(name) + 1 for name in self.kept])

    def encode(self, mask: Mask, path: Path) -> Mask:
        """Own indices -> 0 background, 1..C kept classes, 255 for the other classes and for what is ignored.

        Raises:
            InputError: an index is neither 0..len(names) nor 255; `path` is the file that the message names.
        """
        table = np.full(256, -1, np.int16)
        table[1 : len(self.names) + 1] = table[IGNORE] = IGNORE
        table[0] = 0
        table[self.indices] = np.arange(1, len(self.kept) + 1)
        labels = table[mask]
        if (labels < 0).any():
            index = int(mask[labels < 0][0])
            raise InputError(
                f"{path} holds index {index}, but the data set's classes are 1..{len(self.names)}: fix it."
            )
        return labels.astype(np.uint8)

    def decode(self, labels: Mask) -> Mask:
        """Labels 0..C and 255 -> the data set's own indices.

        Raises:
            ValueError: another label.
        """
        if ((labels > len(self.kept)) & (labels != IGNORE)).any():
            raise ValueError(f"labels are 0..{len(self.kept)} or {IGNORE}, not {labels.max()}")
        table = np.full(256, IGNORE, np.uint8)
        table[: len(self.kept) + 1] = [0, *self.indices]
        return table[labels]
