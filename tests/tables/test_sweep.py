from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from wsss_lightning.tables.results import Row, Table
from wsss_lightning.tables.sweep import SIZE, SweepChart, sweep_chart

Collect = Callable[..., Table]


def _chart(table: Table) -> SweepChart:
    chart = sweep_chart(table)
    assert chart is not None
    return chart


def _value(chart: SweepChart, y: float) -> float:
    """Per cent at a height, from the two ends of the labelled axis."""
    (low, bottom), (high, top) = ((y, float(label)) for y, label in (chart.upward[0], chart.upward[-1]))
    return bottom + (y - low) / (high - low) * (top - bottom)


def _x(chart: SweepChart, x: float) -> float:
    (left, first), (right, last) = ((x, float(label)) for x, label in (chart.across[0], chart.across[-1]))
    return first + (x - left) / (right - left) * (last - first)


def _levelled(table: Table, *means: float) -> Table:
    """The table with rows without an x that have only a mean."""
    rows = [Row(f"Level {number}", None, {}, None, [], mean=mean) for number, mean in enumerate(means)]
    return replace(table, rows=[*table.rows, *rows])


def test_without_an_axis_there_is_no_chart(collected: Collect) -> None:
    assert sweep_chart(collected()) is None


def test_points_stand_at_their_rows_numbers_from_left_to_right(swept: Table) -> None:
    chart = _chart(swept)
    paper, ours = chart.series
    top, diverse, _ = swept.rows
    assert top.mean is not None and diverse.mean is not None
    assert (paper.kind, ours.kind, chart.axis) == ("paper", "ours", "k, points per class and image")
    assert [_x(chart, mark.x) for mark in ours.marks] == pytest.approx([5, 20])
    assert [_value(chart, mark.y) for mark in ours.marks] == pytest.approx([100 * diverse.mean, 100 * top.mean])
    assert [_value(chart, mark.y) for mark in paper.marks] == pytest.approx([40.6, 30.7])
    assert ours.points == " ".join(f"{mark.x:.1f},{mark.y:.1f}" for mark in ours.marks)


def test_error_bars_are_the_deviation_over_seeds(swept: Table) -> None:
    chart = _chart(swept)
    paper, ours = chart.series
    top = swept.rows[0]
    assert top.mean is not None and top.std is not None
    whisker = ours.marks[1].whisker
    assert whisker is not None
    expected = [100 * (top.mean - top.std), 100 * (top.mean + top.std)]
    assert [_value(chart, y) for y in whisker] == pytest.approx(expected)
    assert [mark.whisker for mark in paper.marks] == [None, None]
    assert chart.deviations


def test_one_seed_has_no_error_bars(swept: Table) -> None:
    chart = _chart(replace(swept, rows=[replace(row, std=None) for row in swept.rows]))
    assert not chart.deviations
    assert [mark.whisker for series in chart.series for mark in series.marks] == [None] * 4


def test_the_axis_begins_at_zero_and_holds_every_number(swept: Table) -> None:
    top = replace(swept.rows[0], mean=0.9, std=0.05)
    chart = _chart(_levelled(replace(swept, rows=[top, *swept.rows[1:]]), 0.97))
    assert chart.upward[0][1] == "0"
    assert chart.upward[-1][1] == "100"
    whiskers = [mark.whisker for mark in chart.series[1].marks if mark.whisker]
    heights = [y for whisker in whiskers for y in whisker] + [level.y for level in chart.levels]
    assert all(0 < y <= SIZE[1] for y in heights)
    assert all(0 < x <= SIZE[0] for x, _ in chart.across)


def test_rows_without_an_x_are_levels(swept: Table) -> None:
    chart = _chart(_levelled(swept, 0.6))
    assert [(level.kind, level.name) for level in chart.levels] == [
        ("paper", "Printed only, paper"),
        ("ours", "Level 0, ours"),
    ]
    assert [_value(chart, level.y) for level in chart.levels] == pytest.approx([15.0, 60.0])
    assert all(len(series.marks) == 2 for series in chart.series)


def test_names_of_close_levels_do_not_cover_each_other(swept: Table) -> None:
    chart = _chart(_levelled(swept, 0.601, 0.6, 0.602))
    labels = [level.label for level in chart.levels[1:]]
    assert [level.name for level in chart.levels[1:]] == ["Level 1, ours", "Level 0, ours", "Level 2, ours"]
    assert all(below - above >= 12 for below, above in pairwise(labels))
    assert all(level.label < level.y for level in chart.levels)


def test_a_number_that_is_missing_leaves_the_others(swept: Table) -> None:
    gone = replace(swept.rows[0], mean=None, std=None)
    chart = _chart(replace(swept, rows=[gone, *swept.rows[1:]]))
    assert [len(series.marks) for series in chart.series] == [2, 1]


def test_without_any_number_there_is_an_empty_plane(swept: Table) -> None:
    rows = [replace(row, paper={}, mean=None, std=None) for row in swept.rows]
    chart = _chart(replace(swept, rows=rows))
    assert (chart.series, chart.levels, chart.kinds) == ([], [], [])
    assert [label for _, label in chart.across] == ["5", "10", "15", "20"]
