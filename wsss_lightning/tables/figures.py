"""Geometry of the report's charts: numbers in, positions out; the template draws them as SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wsss_lightning.pipeline.curves import Curve, read_curves, read_trials
from wsss_lightning.tables import wording
from wsss_lightning.tables.results import Row, Table

WIDTH, PLOT = 440, 380  # of a bar chart in user units; what lies beyond PLOT is room for numbers
CURVE = (360, 190)  # of a curve chart
_STEPS = "optimiser steps"
_LABEL, _BAR, _GAP = 22, 14, 14
_TICKS = 5  # steps between round numbers, at most about
_LEFT, _TOP, _RIGHT, _BOTTOM = 42, 10, 10, 26  # margins of a curve chart


@dataclass(frozen=True)
class Scale:
    """Round numbers along an axis, and where the first and the last of them stand."""

    ticks: list[float]
    start: float
    end: float

    def place(self, value: float) -> float:
        """Where a value stands."""
        share = (value - self.ticks[0]) / (self.ticks[-1] - self.ticks[0])
        return self.start + share * (self.end - self.start)

    def labels(self) -> list[tuple[float, str]]:
        """Where the round numbers stand, and their texts."""
        return [(self.place(tick), f"{tick:g}") for tick in self.ticks]


@dataclass(frozen=True)
class Bar:
    """One bar: `kind` is `paper` or `ours`; `whisker` spans one standard deviation to either side."""

    kind: str
    top: float
    width: float
    text: str
    whisker: tuple[float, float] | None


@dataclass(frozen=True)
class Value:
    """A number of a row: `kind` is `paper` or `ours`; `deviation` is the standard deviation over several seeds."""

    kind: str
    percent: float
    deviation: float | None

    @property
    def ends(self) -> tuple[float, float]:
        """One standard deviation to either side, not below zero."""
        spread = self.deviation or 0.0
        return max(self.percent - spread, 0.0), self.percent + spread


@dataclass(frozen=True)
class BarGroup:
    """The bars of one row below its name, whose baseline is `label`."""

    name: str
    label: float
    bars: list[Bar]


@dataclass(frozen=True)
class BarChart:
    """Grouped horizontal bars; `ticks` are positions and their labels, per cent."""

    height: float
    groups: list[BarGroup]
    ticks: list[tuple[float, str]]


@dataclass(frozen=True)
class PlottedCurve:
    """One curve: its rows, the number of its colour, its points as SVG writes them, and their (x, place, value)."""

    name: str
    colour: int
    points: str
    values: list[tuple[float, float, float]]


@dataclass(frozen=True)
class _Run:
    """A training run: the rows that share it and its (step, value) points."""

    rows: list[str]
    points: list[tuple[float, float]]


@dataclass(frozen=True)
class CurveChart:
    """Curves of one quantity over `axis`, such as the steps of one stage; `marks`: where the paper's choice stands on
    the axis, and the colour of its row."""

    title: str
    axis: str
    lines: list[PlottedCurve]
    across: list[tuple[float, str]]
    upward: list[tuple[float, str]]
    marks: list[tuple[float, int]]


def bar_chart(table: Table) -> BarChart:
    """The paper's number and ours for every row."""
    shown = [values(row, table.heading.metric) for row in table.rows]
    scale = Scale(from_zero(shown), 0.0, PLOT)
    groups, top = [], 0.0
    for row, numbers in zip(table.rows, shown, strict=True):
        bars = [_bar(value, top + _LABEL + i * _BAR, scale) for i, value in enumerate(numbers)]
        groups.append(BarGroup(row.name, top + _LABEL - 6, bars))
        top += _LABEL + _BAR * len(numbers) + _GAP
    return BarChart(height=top + 18, groups=groups, ticks=scale.labels())


def values(row: Row, metric: str) -> list[Value]:
    """The paper's number and ours, as far as the row has them."""
    paper = row.paper.get(metric)
    ours = None if row.mean is None else 100 * row.mean
    published = [] if paper is None else [Value("paper", paper, deviation=None)]
    return published if ours is None else [*published, Value("ours", ours, None if row.std is None else 100 * row.std)]


def from_zero(shown: Sequence[Sequence[Value]]) -> list[float]:
    """Ticks from 0 per cent, so that no difference looks larger than it is, to the highest value and deviation."""
    return ticks(0.0, max((value.ends[1] for numbers in shown for value in numbers), default=0.0) or 1.0)


def _bar(value: Value, top: float, scale: Scale) -> Bar:
    text = wording.printed(value.percent) if value.kind == "paper" else wording.percent(value.percent / 100)
    low, high = map(scale.place, value.ends)
    return Bar(value.kind, top, scale.place(value.percent), text, None if value.deviation is None else (low, high))


def ticks(low: float, high: float) -> list[float]:
    """Round numbers that enclose [low, high], at most about five steps of 1, 2 or 5 times a power of ten apart."""
    span = (high - low) or abs(high) or 1.0
    power: float = 10.0 ** math.floor(math.log10(span / _TICKS))
    step = next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= _TICKS)
    first, last = math.floor(low / step), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, max(last, first + 1) + 1)]


def curve_charts(table: Table, store: Path) -> list[CurveChart]:
    """What the stages of each row's first seed measured more than once: what training logged (`logs/**/metrics.csv`),
    val mIoU of its snapshots, mIoU by threshold."""
    curves: dict[tuple[str, str, str], dict[str, _Run]] = {}
    for row in table.rows:
        for stage in row.measured[0].stages if row.measured else []:
            for (name, axis), points in _measured(store / f"{stage.name}-{stage.key[:16]}").items():
                runs = curves.setdefault((stage.name, name, axis), {})
                runs.setdefault(stage.key, _Run([], points)).rows.append(row.name)
    names = colours(table)
    return [
        _curve_chart(f"{stage}: {name}", axis, list(runs.values()), names, chosen={})
        for (stage, name, axis), runs in curves.items()
    ]


def colours(table: Table) -> list[str]:
    """The rows that have a number, each at the number of its colour."""
    return [row.name for row in table.rows if row.measured]


def _measured(folder: Path) -> dict[tuple[str, str], Curve]:
    """Curves of a stage by the names of what was measured and over what."""
    curves = {(name, _STEPS): points for name, points in read_curves(folder).items()}
    for (name, axis), points in read_trials(folder, {}).items():
        if len(points) > 1:
            curves[name.replace("_by_threshold", ""), _STEPS if axis == "step" else axis] = points
    return curves


def profile_chart(table: Table) -> CurveChart | None:
    """Each row's values per class, per cent, over the numbers that their names are; None where they are no numbers.

    Where the paper prints the number it takes (`train/threshold` of the metric `train/ap` over the threshold), per cent
    as everywhere, it is marked.
    """
    heading = table.heading
    rows = [row for row in table.rows if row.measured]
    if heading.profile is None or not rows:
        return None
    runs = []
    for row in rows:
        known = ((float(name), 100 * value) for name, value in row.class_iou().items() if value is not None)
        runs.append(_Run([row.name], sorted(known)))
    names, choice = colours(table), f"{heading.metric.partition('/')[0]}/{heading.profile}"
    chosen = {row.name: row.paper[choice] / 100 for row in rows if choice in row.paper}
    return _curve_chart(heading.metric, heading.profile, runs, names, chosen)


def _curve_chart(title: str, axis: str, runs: list[_Run], names: list[str], chosen: dict[str, float]) -> CurveChart:
    steps, logged = zip(*[point for run in runs for point in run.points], strict=True)
    reach = (*steps, *chosen.values())
    across = Scale(ticks(min(reach), max(reach)), _LEFT, CURVE[0] - _RIGHT)
    upward = Scale(ticks(min(logged), max(logged)), CURVE[1] - _BOTTOM, _TOP)
    lines = []
    for run in runs:
        placed = " ".join(f"{across.place(step):.1f},{upward.place(value):.1f}" for step, value in run.points)
        told = [(step, round(across.place(step), 1), float(f"{value:.4g}")) for step, value in run.points]
        name = "all rows" if len(runs) == 1 and len(run.rows) > 1 else ", ".join(run.rows)
        lines.append(PlottedCurve(name, names.index(run.rows[0]), placed, told))
    marks = [(across.place(value), names.index(name)) for name, value in chosen.items()]
    return CurveChart(title, axis, lines, across=across.labels(), upward=upward.labels(), marks=marks)
