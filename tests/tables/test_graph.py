"""The graph of a table's stages: what it joins, where it stands, what it counts."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from wsss_lightning.tables.cells import Cell
from wsss_lightning.tables.graph import BOX, StageGraph, stage_graph
from wsss_lightning.tables.results import Table


@pytest.fixture
def graph(
    cells: list[Cell], finish: Callable[..., np.ndarray], collected: Callable[..., Table], root: Path
) -> StageGraph:
    for cell in cells:
        finish(cell)
    found = stage_graph(collected(), root / "store")
    assert found is not None
    return found


def _ends(graph: StageGraph) -> set[tuple[str, str]]:
    """What each edge joins, by the boxes that it leaves below and reaches above."""
    lower = {(round(box.x + BOX[0] / 2), round(box.y + BOX[1])): box.name for box in graph.boxes}
    upper = {(round(box.x + BOX[0] / 2), round(box.y)): box.name for box in graph.boxes}
    numbers = [list(map(int, re.findall(r"-?\d+", edge))) for edge in graph.edges]
    return {(lower[first[0], first[1]], upper[first[-2], first[-1]]) for first in numbers}


def test_edges_are_those_that_no_longer_way_implies(graph: StageGraph, cells: list[Cell]) -> None:
    reads = {name: set(stage.upstream) for name, stage in cells[0].plan.stages.items()}

    def above(name: str) -> set[str]:
        return reads[name].union(*(above(before) for before in reads[name]))

    pairs = {(before, name) for name, befores in reads.items() for before in befores}
    implied = {(far, name) for name, befores in reads.items() for before in befores for far in above(before)}
    assert _ends(graph) == pairs - implied
    assert ("shapes", "features") in pairs - implied and ("shapes", "evaluation") in implied


def test_boxes_stand_below_what_they_read_and_beside_each_other(graph: StageGraph, cells: list[Cell]) -> None:
    places = {box.name: (box.x, box.y) for box in graph.boxes}
    assert set(places) == set(cells[0].plan.stages)
    for name, stage in cells[0].plan.stages.items():
        assert all(places[before][1] < places[name][1] for before in stage.upstream)
    assert len(set(places.values())) == len(places)
    for x, y in places.values():
        assert 0 <= x <= graph.width - BOX[0] and 0 <= y <= graph.height - BOX[1]
        assert all(abs(x - other) >= BOX[0] for other, level in places.values() if level == y and other != x)


def test_a_stage_that_rows_share_is_counted_once(graph: StageGraph, collected: Callable[..., Table]) -> None:
    runs = {stage.key: stage for row in collected().rows[:2] for stage in row.measured[0].stages}
    assert graph.total == pytest.approx(sum(run.wall_seconds or 0 for run in runs.values()))
    times = {box.name: box.time for box in graph.boxes}
    assert times["shapes"] == "1.5 s" and times["points"].startswith("2 variants, ")
    assert max(box.share for box in graph.boxes) == 1


def test_without_a_computed_row_there_is_no_graph(collected: Callable[..., Table], root: Path) -> None:
    assert stage_graph(collected(), root / "store") is None
