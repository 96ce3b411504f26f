"""The stages behind a table as a graph, drawn from the top down: boxes with their wall times, and what reads what."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from wsss_lightning.pipeline.store import read_record
from wsss_lightning.tables import wording
from wsss_lightning.tables.results import StageRun, Table

BOX = (150, 46)  # user units
_ACROSS, _DOWN = 22, 26  # gaps between boxes
_WAY = 14  # width of where an edge goes between boxes
_SWEEPS = 4  # over the layers, until edges hardly cross

Reads = dict[str, set[str]]  # by stage, what it reads


@dataclass(frozen=True)
class Box:
    """A stage at its upper left corner: how long it took, in words, and as a share of the longest stage."""

    name: str
    x: float
    y: float
    time: str
    share: float


@dataclass(frozen=True)
class StageGraph:
    """Boxes, and edges as SVG writes paths; `total`: wall time of all of them, each counted once."""

    width: float
    height: float
    boxes: list[Box]
    edges: list[str]
    total: float


def stage_graph(table: Table, store: Path) -> StageGraph | None:
    """The stages of the first seed of every row by name; None where no row has been computed here.

    Rows share a box where they have a stage of one name, which then says how many variants of it there are. An edge
    that a longer way implies is left out: nearly every stage reads the data set.
    """
    runs = {stage.key: stage for row in table.rows if row.measured for stage in row.measured[0].stages}
    reads = _reads(runs, store)
    if not any(reads.values()):
        return None
    depth = _layers(reads)
    reads = _reduced(reads, depth)
    layers = _ordered(_with_waypoints(depth, reads), reads)
    places, width = _places(layers), max(map(_width, layers))
    seconds = {name: [run.wall_seconds or 0.0 for run in runs.values() if run.name == name] for name in reads}
    longest = max(sum(values) for values in seconds.values()) or 1.0
    return StageGraph(
        width=width,
        height=len(layers) * (BOX[1] + _DOWN) - _DOWN,
        boxes=[Box(name, *places[name], _time(times), sum(times) / longest) for name, times in seconds.items()],
        edges=[_path(before, name, places) for name, befores in reads.items() for before in sorted(befores)],
        total=sum(sum(values) for values in seconds.values()),
    )


def _reads(runs: Mapping[str, StageRun], store: Path) -> Reads:
    reads: Reads = {run.name: set() for run in runs.values()}
    for run in runs.values():
        record = read_record(store / f"{run.name}-{run.key[:16]}") or {"upstream": {}}
        reads[run.name] |= {runs[key].name for key in record["upstream"].values() if key in runs} - {run.name}
    return reads


def _time(values: list[float]) -> str:
    if len(values) == 1:
        return wording.duration(values[0])
    return f"{len(values)} variants, {wording.duration(sum(values))}"


def _layers(reads: Reads) -> dict[str, int]:
    """How many stages stand before each, by the longest way; a cycle, of stages that rows order differently, is cut."""
    depth: dict[str, int] = {}

    def visit(name: str, above: frozenset[str]) -> int:
        if name not in depth:
            reads[name] -= above | {name}
            depth[name] = 1 + max((visit(before, above | {name}) for before in reads[name]), default=-1)
        return depth[name]

    for name in reads:
        visit(name, frozenset())
    return depth


def _reduced(reads: Reads, depth: Mapping[str, int]) -> Reads:
    """Without the edges to what is read by another thing that is read, directly or not."""
    above: Reads = {}
    for name in sorted(reads, key=lambda name: depth[name]):
        above[name] = reads[name].union(*(above[before] for before in reads[name]))
    implied = {name: {far for before in befores for far in above[before]} for name, befores in reads.items()}
    return {name: befores - implied[name] for name, befores in reads.items()}


def _with_waypoints(depth: Mapping[str, int], reads: Reads) -> list[list[str]]:
    """Names by layer, and a waypoint in every layer that an edge crosses, so that it goes between boxes."""
    layers: list[list[str]] = [[] for _ in range(max(depth.values()) + 1)]
    for name, level in depth.items():
        layers[level].append(name)
    for name, befores in reads.items():
        for before in befores:
            for level in range(depth[before] + 1, depth[name]):
                layers[level].append(_waypoint(before, name, level))
    return layers


def _waypoint(before: str, name: str, level: int) -> str:
    return f"{before}>{name}>{level}"


def _ordered(layers: list[list[str]], reads: Reads) -> list[list[str]]:
    """Each layer ordered by the mean place of what its stages are joined to in the layer above, then below."""
    joined: dict[str, set[str]] = {name: set() for layer in layers for name in layer}
    for name, befores in reads.items():
        for before in befores:
            for first, second in _steps(before, name, joined):
                joined[first].add(second)
                joined[second].add(first)
    for sweep in range(_SWEEPS):
        order = range(1, len(layers)) if sweep % 2 == 0 else range(len(layers) - 2, -1, -1)
        for level in order:
            other = layers[level - 1 if sweep % 2 == 0 else level + 1]
            means = {name: _mean_place(joined[name], other) for name in layers[level]}
            layers[level].sort(key=means.__getitem__)
    return layers


def _steps(before: str, name: str, known: Mapping[str, object]) -> list[tuple[str, str]]:
    """The edge from `before` to `name` in steps of one layer."""
    levels = sorted(int(point.rpartition(">")[2]) for point in known if point.startswith(f"{before}>{name}>"))
    points = [before, *(_waypoint(before, name, level) for level in levels), name]
    return list(pairwise(points))


def _mean_place(joined: set[str], layer: list[str]) -> float:
    places = [place - (len(layer) - 1) / 2 for place, name in enumerate(layer) if name in joined]
    return sum(places) / len(places) if places else 0.0


def _places(layers: list[list[str]]) -> dict[str, tuple[float, float]]:
    """Upper left corners; every layer stands in the middle."""
    widest, places = max(map(_width, layers)), {}
    for level, layer in enumerate(layers):
        x = (widest - _width(layer)) / 2
        for name in layer:
            places[name] = (x, float(level * (BOX[1] + _DOWN)))
            x += _wide(name) + _ACROSS
    return places


def _wide(name: str) -> int:
    return _WAY if ">" in name else BOX[0]


def _width(layer: list[str]) -> float:
    return sum(_wide(name) + _ACROSS for name in layer) - _ACROSS


def _path(before: str, name: str, places: Mapping[str, tuple[float, float]]) -> str:
    """From below the one box, down between others, to the top of the other."""
    parts = []
    for first, second in _steps(before, name, places):
        (x0, y0), (x1, y1) = places[first], places[second]
        start, end = y0 + BOX[1], y1
        if ">" in first:
            parts.append(f"V{start:.0f}")
        x0, x1, middle = x0 + _wide(first) / 2, x1 + _wide(second) / 2, (start + end) / 2
        head = "" if parts else f"M{x0:.0f} {start:.0f}"
        parts.append(f"{head}C{x0:.0f} {middle:.0f} {x1:.0f} {middle:.0f} {x1:.0f} {end:.0f}")
    return "".join(parts)
