"""The confusion matrices of a table's rows for the report, from what their evaluation stages keep."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsss_lightning.tables.pictures import address
from wsss_lightning.tables.results import Row, Table

CELL = 11  # user units of a cell without a number: a line of small print
NUMBERED = 24  # labels of a matrix whose cells bear numbers; with more they would not be legible
_DARK = np.array([8, 48, 107])  # the colour of 100 %; 0 % is white
_LISTED = 5  # of the largest confusions, in words


@dataclass(frozen=True)
class ConfusionChart:
    """Shares of each true label's pixels (rows) by predicted label: numbers, or a heat map with one pixel a cell.

    `cells` are fractions, None where there are more than `NUMBERED` labels; then `uri` is the heat map. `largest` names
    the confusions of the largest share, in words.
    """

    row: str
    names: list[str]
    cells: list[list[float]] | None
    uri: str | None
    largest: list[str]


def confusion_charts(table: Table, store: Path) -> list[ConfusionChart]:
    """The matrix of each row, by its first seed that keeps one; that of the row that the heading names comes first."""
    rows = sorted(table.rows, key=lambda row: row.name != table.heading.confusion)
    charts = [_chart(row, store) for row in rows]
    return [chart for chart in charts if chart is not None]


def _chart(row: Row, store: Path) -> ConfusionChart | None:
    """None where no matrices were kept, or not of all labels but of one class against the others."""
    folders = [store / result.folder for result in row.measured]
    folder = next((folder for folder in folders if (folder / "confusion.npy").is_file()), None)
    if folder is None:
        return None
    names = json.loads((folder / "classes.json").read_text())["names"]
    confusion = np.load(folder / "confusion.npy", allow_pickle=False).sum(axis=0)
    if len(confusion) != len(names):
        return None
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)  # 0 where a label has no pixel
    if len(names) > NUMBERED:
        return ConfusionChart(row.name, names, None, _heat_map(shares), _largest(shares, names))
    return ConfusionChart(row.name, names, shares.tolist(), None, _largest(shares, names))


def _heat_map(shares: NDArray[np.float64]) -> str:
    # The root shows a few per cent beside a diagonal near 100.
    colours = 255 + np.sqrt(shares)[..., None] * (_DARK - 255)
    return address(Image.fromarray(colours.round().astype(np.uint8)), "png")


def _largest(shares: NDArray[np.float64], names: list[str]) -> list[str]:
    wrong = shares * (1 - np.eye(len(shares)))
    order = np.argsort(wrong, axis=None)[::-1][:_LISTED]
    cells = [divmod(int(index), len(names)) for index in order]
    return [f"{names[true]} as {names[taken]} {100 * wrong[true, taken]:.0f} %" for true, taken in cells]
