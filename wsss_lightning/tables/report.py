"""One self-contained HTML page of all tables that were collected below a folder."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.contents import read_whole
from wsss_lightning.tables import wording
from wsss_lightning.tables.confusion import CELL, ConfusionChart, confusion_chart
from wsss_lightning.tables.figures import (
    CURVE,
    PLOT,
    WIDTH,
    BarChart,
    CurveChart,
    bar_chart,
    curve_charts,
    profile_chart,
)
from wsss_lightning.tables.panels import Panels, table_panels
from wsss_lightning.tables.results import (
    CHANGED,
    COMPUTED,
    MISSING,
    Result,
    Row,
    Table,
    read_table,
    short_commit,
    summarised,
    write_text,
)
from wsss_lightning.tables.sweep import SIZE, SweepChart, sweep_chart

_TEMPLATE = "report.html.j2"


@dataclass(frozen=True)
class Section:
    """One table as the template shows it; `sweep` stands in the place of `bars` where the table is a curve."""

    anchor: str
    table: Table
    lines: list[wording.Line]
    class_heads: list[str]
    classes: list[tuple[str, list[float | None]]]
    bars: BarChart
    sweep: SweepChart | None
    profile: CurveChart | None
    confusion: ConfusionChart | None
    curves: list[CurveChart]
    panels: Panels


def write_report(root: Path) -> Path:
    """Write `root/report.html` from all `root/tables/*.json`; an `InputError` where there are none."""
    paths = sorted((root / "tables").glob("[!.]*.json"))
    if not paths:
        raise InputError(f"There is no table in {root / 'tables'}: run `wsss table points/table2` first.")
    tables = [present(read_table(path), root) for path in paths]
    target = root / "report.html"
    write_text(target, page(tables, root))
    return target


def page(tables: list[Table], root: Path) -> str:
    """The page of some tables; `root` is the folder that their `store` is seen from."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": wording.percent, "duration": wording.duration, "commit": short_commit}
    return environment.get_template(_TEMPLATE).render(
        sections=[_section(table, root, number) for number, table in enumerate(tables, start=1)],
        wording=wording,
        bar=(WIDTH, PLOT),
        curve=CURVE,
        plane=SIZE,
        cell=CELL,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def present(table: Table, root: Path) -> Table:
    """`table` with every result whose record has gone from the store since turned into a missing one."""
    rows = [_present(row, root / (table.store or "")) for row in table.rows]
    kept = {row.name for row, before in zip(rows, table.rows, strict=True) if row is before}
    whole = [row if {row.name, table.heading.reference} <= kept else replace(row, difference=None) for row in rows]
    return replace(table, rows=whole)


def _present(row: Row, store: Path) -> Row:
    """`row` itself where nothing has gone."""
    gone = [_is_gone(result, store) for result in row.results]
    results = [_blank(result) if lost else result for result, lost in zip(row.results, gone, strict=True)]
    return summarised(replace(row, results=results)) if any(gone) else row


def _is_gone(result: Result, store: Path) -> bool:
    if result.status not in {COMPUTED, CHANGED}:
        return False
    record = read_whole(store / result.folder)
    return record is None or record["key"] != result.key


def _blank(result: Result) -> Result:
    return Result(result.seed, result.overrides, result.key, result.folder, MISSING, "gone since it was collected")


def _section(table: Table, root: Path, number: int) -> Section:
    store = root / (table.store or "")
    return Section(
        anchor=f"table-{number}",
        table=table,
        lines=wording.lines(table),
        class_heads=[title for title, _ in wording.class_columns(table)],
        classes=_classes(table),
        bars=bar_chart(table),
        sweep=sweep_chart(table),
        profile=profile_chart(table),
        confusion=confusion_chart(table, store),
        curves=curve_charts(table, store),
        panels=table_panels(table, store),
    )


def _classes(table: Table) -> list[tuple[str, list[float | None]]]:
    """Every class with its value in each of `wording.class_columns`."""
    columns = [values for _, values in wording.class_columns(table)]
    names = dict.fromkeys(name for values in columns for name in values)
    return [(name, [values.get(name) for values in columns]) for name in names]
