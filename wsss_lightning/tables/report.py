"""One self-contained HTML page of all tables that were collected below a folder."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.contents import read_whole
from wsss_lightning.tables import cards, figures, graph, sweep, wording
from wsss_lightning.tables.confusion import CELL, ConfusionChart, confusion_charts
from wsss_lightning.tables.panels import Panels, table_panels
from wsss_lightning.tables.results import (
    CHANGED,
    COMPUTED,
    MISSING,
    Result,
    Table,
    read_table,
    short_commit,
    summarised,
    write_text,
)
from wsss_lightning.tables.runs import Run, runs

_PAGE = Path(__file__).parent / "page"


@dataclass(frozen=True)
class Section:
    """One table as the template shows it; `sweep` stands in the place of `bars` where the table is a curve.

    `class_heads`: names and colours; `runs`: those of each row that has any, by its name.
    """

    anchor: str
    table: Table
    lines: list[wording.RenderedRow]
    class_heads: list[tuple[str, str]]
    classes: list[tuple[str, list[float | None]]]
    card: list[cards.CardEntry]
    bars: figures.BarChart
    sweep: sweep.SweepChart | None
    profile: figures.CurveChart | None
    confusions: list[ConfusionChart]
    curves: list[figures.CurveChart]
    panels: Panels
    graph: graph.StageGraph | None
    runs: dict[str, list[Run]]

    @property
    def class_top(self) -> float:
        """Where the bars per class end: the next tenth above all values."""
        highest = max((value for _, values in self.classes for value in values if value is not None), default=0.0)
        return max(math.ceil(10 * highest) / 10, 0.1)


def collected(root: Path) -> dict[Path, Table]:
    """The tables collected below `root`, by their files, with what has gone from the store since as missing.

    Raises:
        InputError: there are none.
    """
    paths = sorted((root / "tables").glob("[!.]*.json"))
    if not paths:
        raise InputError(f"There is no table in {root / 'tables'}: run `wsss table points/table2` first.")
    return {path: present(read_table(path), root) for path in paths}


def write_report(root: Path, further: Mapping[Path, Path] | None = None) -> Path:
    """Write `root/report.html` from all `root/tables/*.json`; an `InputError` where there are none.

    `further`: folders with more panels by the file of their table, see `table_panels`.
    """
    tables, target = collected(root), root / "report.html"
    folders = [(further or {}).get(path) for path in tables]
    write_text(target, page(list(tables.values()), root, linked=True, further=folders))
    return target


def page(tables: list[Table], root: Path, *, linked: bool = False, further: list[Path | None] | None = None) -> str:
    """The page of some tables; `root` is the folder that their `store` is seen from.

    `linked`: the page will lie in `root`, so that it can link to records. `further`: as of `table_panels`, of each.
    """
    environment = Environment(
        loader=FileSystemLoader(_PAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": wording.percent, "duration": wording.duration, "commit": short_commit}
    folders = further or [None] * len(tables)
    return environment.get_template("report.html.j2").render(
        sections=[
            _section(table, root, number, linked=linked, further=folder)
            for number, (table, folder) in enumerate(zip(tables, folders, strict=True), start=1)
        ],
        wording=wording,
        bar=(figures.WIDTH, figures.PLOT),
        curve=figures.CURVE,
        plane=sweep.SIZE,
        box=graph.BOX,
        cell=CELL,
        style=(_PAGE / "report.css").read_text(encoding="utf-8"),
        script=(_PAGE / "report.js").read_text(encoding="utf-8"),
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def present(table: Table, root: Path) -> Table:
    """`table` with every result whose record has gone from the store since turned into a missing one."""
    rows = []
    for row in table.rows:
        results = [_found(result, root / (table.store or "")) for result in row.results]
        rows.append(row if results == row.results else summarised(replace(row, results=results)))
    kept = {row.name for row, before in zip(rows, table.rows, strict=True) if row is before}
    whole = [row if {row.name, table.heading.reference} <= kept else replace(row, difference=None) for row in rows]
    return replace(table, rows=whole)


def _found(result: Result, store: Path) -> Result:
    """`result` itself, or a missing one where its record has gone."""
    if result.status not in {COMPUTED, CHANGED}:
        return result
    record = read_whole(store / result.folder)
    if record is not None and record["key"] == result.key:
        return result
    return Result(result.seed, result.overrides, result.key, result.folder, MISSING, "gone since it was collected")


def _section(table: Table, root: Path, number: int, *, linked: bool, further: Path | None) -> Section:
    store = root / (table.store or "")
    return Section(
        anchor=f"table-{number}",
        table=table,
        lines=wording.rendered_rows(table),
        class_heads=_class_heads(table),
        classes=wording.class_rows(table),
        card=cards.entries(table),
        bars=figures.bar_chart(table),
        sweep=sweep.sweep_chart(table),
        profile=figures.profile_chart(table),
        confusions=confusion_charts(table, store),
        curves=figures.curve_charts(table, store),
        panels=table_panels(table, store, further),
        graph=graph.stage_graph(table, store),
        runs={row.name: runs(row, store, root, linked=linked) for row in table.rows if row.measured},
    )


def _class_heads(table: Table) -> list[tuple[str, str]]:
    """Heads of the columns per class and their colours: that of the row's curves, the paper's own for its numbers."""
    ours, titles = figures.colours(table), [title for title, _ in wording.class_columns(table)]
    return [(title, f"c{ours.index(title) % 8}" if title in ours else "paper") for title in titles]
