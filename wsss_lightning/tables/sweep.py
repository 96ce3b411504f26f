"""Geometry of the line chart of a table whose rows stand on an axis; the template draws it as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

from wsss_lightning.tables.figures import Scale, Value, from_zero, ticks, values
from wsss_lightning.tables.results import Row, Table

SIZE = (560, 300)  # user units
_LEFT, _TOP, _RIGHT, _BOTTOM = 46, 10, 14, 44  # margins
_RISE, _APART = 5, 14  # of a level's name above its line, and of names from each other


@dataclass(frozen=True)
class Mark:
    """A number at its row's x; `whisker` spans one standard deviation to either side, None without several seeds."""

    x: float
    y: float
    whisker: tuple[float, float] | None


@dataclass(frozen=True)
class Series:
    """The paper's numbers or ours (`kind`) from left to right, and the line through them as SVG writes it."""

    kind: str
    marks: list[Mark]
    points: str


@dataclass(frozen=True)
class Level:
    """A number of a row without an x: a horizontal line at `y`, and its name with the baseline `label`."""

    kind: str
    name: str
    y: float
    label: float


@dataclass(frozen=True)
class SweepChart:
    """Numbers over the table's axis; `across` and `upward` are positions and labels of round numbers."""

    axis: str
    series: list[Series]
    levels: list[Level]
    across: list[tuple[float, str]]
    upward: list[tuple[float, str]]

    @property
    def kinds(self) -> list[str]:
        """Whose numbers are drawn: `paper`, `ours`, or both."""
        drawn = {series.kind for series in self.series} | {level.kind for level in self.levels}
        return [kind for kind in ("paper", "ours") if kind in drawn]

    @property
    def deviations(self) -> bool:
        """Whether a number has a standard deviation."""
        return any(mark.whisker for series in self.series for mark in series.marks)


def sweep_chart(table: Table) -> SweepChart | None:
    """The rows with an x as points over it, the others as levels; None for a table without an axis."""
    if table.heading.axis is None:
        return None
    shown = [(row, values(row, table.heading.metric)) for row in table.rows]
    xs = [row.x for row in table.rows if row.x is not None]
    across = Scale(ticks(min(xs), max(xs)), _LEFT, SIZE[0] - _RIGHT)
    upward = Scale(from_zero([numbers for _, numbers in shown]), SIZE[1] - _BOTTOM, _TOP)
    series = [_series(kind, shown, across, upward) for kind in ("paper", "ours")]
    return SweepChart(
        axis=table.heading.axis,
        series=[line for line in series if line.marks],
        levels=_levels([(row.name, value) for row, numbers in shown if row.x is None for value in numbers], upward),
        across=across.labels(),
        upward=upward.labels(),
    )


def _series(kind: str, shown: Sequence[tuple[Row, list[Value]]], across: Scale, upward: Scale) -> Series:
    placed = [(row.x, value) for row, numbers in shown if row.x is not None for value in numbers if value.kind == kind]
    marks = []
    for x, value in sorted(placed, key=lambda item: item[0]):
        low, high = map(upward.place, value.ends)
        whisker = None if value.deviation is None else (low, high)
        marks.append(Mark(across.place(x), upward.place(value.percent), whisker))
    return Series(kind, marks, " ".join(f"{mark.x:.1f},{mark.y:.1f}" for mark in marks))


def _levels(named: Sequence[tuple[str, Value]], upward: Scale) -> list[Level]:
    """From the bottom up; where lines lie close, a name moves up from the one below it."""
    levels: list[Level] = []
    for name, value in sorted(named, key=lambda item: item[1].percent):
        y, free = upward.place(value.percent), levels[-1].label - _APART if levels else float(SIZE[1])
        levels.append(Level(value.kind, f"{name}, {value.kind}", y, min(y - _RISE, free)))
    return levels
