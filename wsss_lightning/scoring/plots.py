"""An evaluation as pictures: IoU per class, confusion matrix, trimap and threshold curves."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from wsss_lightning.atomic import replace_file
from wsss_lightning.scoring.evaluation import Evaluation

_COLOUR = "#0072b2"  # blue and vermilion of Okabe and Ito, which colour-blind readers tell apart
_ACCENT = "#d55e00"
_ON_LINE = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # a number in front of a line
_LABELLED = 21  # labels: with more, the cells are too small for numbers
_CHARACTERS = 18  # of a note, per inch of a figure's width


def write_plots(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write `iou.png`, `confusion.png`, `trimap.png` and, of a sweep, `thresholds.png`, each with the notes below it.

    Returns:
        what was written.
    """
    figures = {"iou": _bars(evaluation), "confusion": _heat_map(evaluation), "trimap": _trimap(evaluation)}
    if evaluation.curve:
        figures["thresholds"] = _thresholds(evaluation)
    paths = [folder / f"{name}.png" for name in figures]
    for path, figure in zip(paths, figures.values(), strict=True):
        replace_file(path, figure.savefig)
    return paths


def _figure(evaluation: Evaluation, heading: str, size: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    sentences = [f"{evaluation.title}: {evaluation.images:,} images.", *evaluation.notes]
    lines = [line for text in sentences for line in textwrap.wrap(text, int(_CHARACTERS * size[0]))]
    figure.suptitle(heading, x=0.01, ha="left", fontsize=12, fontweight="bold")
    figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=7, color="0.35")
    return figure, axes


def _bars(evaluation: Evaluation) -> Figure:
    values = np.array([100 * value for value in evaluation.iou.values()])
    mean = 100 * evaluation.summary["miou"]
    figure, axes = _figure(evaluation, f"IoU per class, mean {mean:.1f} %", (6.4, 1.6 + 0.24 * len(values)))
    axes.barh(evaluation.names, np.nan_to_num(values), color=_COLOUR, height=0.7)
    for row, value in enumerate(values):
        text = "absent" if math.isnan(value) else f"{value:.1f}"
        axes.text(np.nan_to_num(value) + 1, row, text, va="center", fontsize=8, bbox=_ON_LINE)
    axes.axvline(mean, color=_ACCENT, linestyle="--", linewidth=1)
    axes.set(xlim=(0, 108), xticks=range(0, 101, 20), ylim=(len(values) - 0.4, -0.6), xlabel="IoU, %")
    axes.tick_params(axis="y", length=0)
    return figure


def _heat_map(evaluation: Evaluation) -> Figure:
    names, count = evaluation.names, len(evaluation.names)
    pixels = evaluation.confusion.double()
    shares = (100 * pixels / pixels.sum(1, keepdim=True)).numpy()
    side = max(5.2, 2.2 + 0.36 * count if count <= _LABELLED else 2.2 + 0.15 * count)
    figure, axes = _figure(evaluation, "Confusion matrix, % of each true class's pixels", (side + 0.8, side))
    # The root shows a few per cent beside a diagonal near 100.
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0, 100))
    small = 8 if count <= _LABELLED else 5
    axes.set_xticks(range(count), names, rotation=90, fontsize=small)
    axes.set_yticks(range(count), names, fontsize=small)
    axes.set(xlabel="predicted", ylabel="true")
    figure.colorbar(image, ax=axes, shrink=0.6, ticks=[0, 1, 5, 20, 50, 100])
    if count <= _LABELLED:
        _write_shares(axes, shares)
    return figure


def _write_shares(axes: Axes, shares: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.5:
            colour = "white" if share > 40 else "black"
            axes.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=7, color=colour)


def _trimap(evaluation: Evaluation) -> Figure:
    figure, axes = _figure(evaluation, "Accuracy near true boundaries (trimap)", (6.4, 4.2))
    whole = 100 * evaluation.summary["pixel_accuracy"]
    values = [100 * value for value in evaluation.trimap]
    axes.plot(range(1, len(values) + 1), values, color=_COLOUR, marker=".", markersize=4)
    axes.axhline(whole, color="0.5", linestyle="--", linewidth=1)
    axes.annotate(f"all pixels {whole:.1f} %", (1, whole), xytext=(0, 3), textcoords="offset points", fontsize=8)
    axes.set(xlabel="width on each side of a boundary, px", ylabel="right pixels, %", xlim=(0, len(values) + 1))
    axes.grid(alpha=0.3)
    return figure


def _thresholds(evaluation: Evaluation) -> Figure:
    figure, axes = _figure(evaluation, "Mean IoU by background threshold", (6.4, 4.2))
    thresholds, values = np.array(evaluation.curve).T
    best, score = evaluation.threshold or 0.0, 100 * evaluation.summary["miou"]
    axes.plot(thresholds, 100 * values, color=_COLOUR)
    axes.plot(best, score, "o", color=_ACCENT)
    axes.annotate(f"{score:.1f} % at {best:.2f}", (best, score), xytext=(0, 8), textcoords="offset points", ha="center")
    axes.set(xlabel="background threshold", ylabel="mean IoU, %")
    axes.margins(y=0.15)
    axes.grid(alpha=0.3)
    return figure
