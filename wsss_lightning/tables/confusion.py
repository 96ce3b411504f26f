"""The confusion matrix of a row as a heat map of the report, from what its evaluation stage keeps."""

import base64
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsss_lightning.tables.results import Table

CELL = 11  # user units: a line of small print
_DARK = np.array([8, 48, 107])  # the colour of 100 %; 0 % is white
_LISTED = 5  # of the largest confusions, in words


@dataclass(frozen=True)
class ConfusionChart:
    """A heat map with one pixel a cell (`uri`); `largest` names the confusions of the largest share, in words."""

    row: str
    names: list[str]
    uri: str
    largest: list[str]


def confusion_chart(table: Table, store: Path) -> ConfusionChart | None:
    """The matrix of the row that the heading names, by its first seed; None where no row or no matrix is there."""
    measured = [result for row in table.rows if row.name == table.heading.confusion for result in row.measured]
    folders = [store / result.folder for result in measured if (store / result.folder / "confusion.npy").is_file()]
    if not folders:
        return None
    names = json.loads((folders[0] / "classes.json").read_text())["names"]
    shares = _shares(np.load(folders[0] / "confusion.npy", allow_pickle=False).sum(axis=0))
    return ConfusionChart(str(table.heading.confusion), names, _picture(shares), _largest(shares, names))


def _shares(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each true label's pixels (rows) by predicted label, fractions; 0 where a label has none."""
    shares: NDArray[np.float64] = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    return shares


def _picture(shares: NDArray[np.float64]) -> str:
    # The root shows a few per cent beside a diagonal near 100.
    colours = 255 + np.sqrt(shares)[..., None] * (_DARK - 255)
    stream = io.BytesIO()
    Image.fromarray(colours.round().astype(np.uint8)).save(stream, format="png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _largest(shares: NDArray[np.float64], names: list[str]) -> list[str]:
    wrong = shares * (1 - np.eye(len(shares)))
    order = np.argsort(wrong, axis=None)[::-1][:_LISTED]
    cells = [divmod(int(index), len(names)) for index in order]
    return [f"{names[true]} as {names[taken]} {100 * wrong[true, taken]:.0f} %" for true, taken in cells]
