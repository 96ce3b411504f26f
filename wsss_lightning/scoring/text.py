"""An evaluation on the terminal; figures times 100."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table
from rich.text import Text

from wsss_lightning.scoring.evaluation import Evaluation

_MEASURES = {
    "miou": "mean IoU",
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
    "frequency_weighted_iou": "frequency-weighted IoU",
}
_WIDTHS = (1, 2, 3, 5, 10, 20, 30, 40)
_WIDEST_MATRIX = 21  # labels: what a terminal line holds


def hundredths(fraction: float) -> str:
    """A fraction times 100 with two decimals; `-` for nan."""
    return "-" if math.isnan(fraction) else f"{100 * fraction:.2f}"


def print_evaluation(evaluation: Evaluation, console: Console) -> None:
    """Print all figures, per cent, and the notes below them."""
    console.print(Text(f"{evaluation.title}: {evaluation.images:,} images, per cent"), soft_wrap=True)
    for table in (_summary(evaluation), _classes(evaluation), _trimap(evaluation)):
        console.print(table)
    if evaluation.curve:
        console.print(_curve(evaluation))
    console.print(Text(_matrix(evaluation)), soft_wrap=True)
    for note in evaluation.notes:
        console.print(Text(note), soft_wrap=True)


def _table(title: str | None, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table


def _summary(evaluation: Evaluation) -> Table:
    table = _table(None, "measure", "value")
    for name, value in evaluation.summary.items():
        table.add_row(_MEASURES[name], hundredths(value))
    return table


def _classes(evaluation: Evaluation) -> Table:
    table = _table("Per class", "class", "IoU", "accuracy", "share of true pixels")
    shares = evaluation.confusion.sum(1) / evaluation.confusion.sum()
    for name, share in zip(evaluation.names, shares.tolist(), strict=True):
        table.add_row(name, *map(hundredths, (evaluation.iou[name], evaluation.accuracy[name], share)))
    return table


def _trimap(evaluation: Evaluation) -> Table:
    table = _table("Trimap: near true boundaries, those of 255 included", "width, px", "accuracy")
    for width in _WIDTHS:
        table.add_row(str(width), hundredths(evaluation.trimap[width - 1]))
    return table


def _curve(evaluation: Evaluation) -> Table:
    table = _table("Background threshold", "threshold", "mean IoU")
    for threshold, value in evaluation.curve:
        if threshold == evaluation.threshold or round(100 * threshold) % 5 == 0:
            best = " best" if threshold == evaluation.threshold else ""
            table.add_row(f"{threshold:.2f}{best}", hundredths(value))
    return table


def _matrix(evaluation: Evaluation) -> str:
    """The confusion matrix in whole per cent of each row."""
    count = len(evaluation.names)
    if count > _WIDEST_MATRIX:
        return f"The confusion matrix of {count} labels is in the JSON file and among the plots."
    shares = 100 * evaluation.confusion / evaluation.confusion.sum(1, keepdim=True)
    room = max(map(len, evaluation.names))
    head = f"{'':{room}}    " + "".join(f"{column:4d}" for column in range(count))
    rows = [
        f"{name:{room}} {row:2d} " + "".join("   -" if math.isnan(share) else f"{share:4.0f}" for share in line)
        for row, (name, line) in enumerate(zip(evaluation.names, shares.tolist(), strict=True))
    ]
    return "\n".join(["Confusion: row = true label, column = predicted, per cent of the row", head, *rows])
