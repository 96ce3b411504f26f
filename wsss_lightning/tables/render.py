"""A collected table on the terminal and as markdown."""

from collections.abc import Sequence
from typing import Literal

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from wsss_lightning.pipeline import PlannedStage
from wsss_lightning.tables import cards, wording
from wsss_lightning.tables.results import CHANGED, COMMITTED, FAILED, MISSING, Row, Table, short_commit

_UNBROKEN = {"paper", "ours"}
_STYLES = {FAILED: "bold red", MISSING: "red", CHANGED: "yellow", COMMITTED: "cyan"}


def print_table(table: Table, console: Console) -> None:
    """Print a table with its footnotes and its supervision card."""
    title = Text(f"{table.heading.name}: {table.heading.title}\n{wording.caption(table)}")
    grid = Grid(title=title, title_justify="left")
    names, lines = wording.column_heads(table), wording.rendered_rows(table)
    for name, *column in zip(names, *(line.cells for line in lines), strict=True):
        numbers = name in names[1:-2]
        justify: Literal["left", "right"] = "right" if numbers else "left"
        width = _least_width(name, column, whole=numbers)
        grid.add_column(Text(name), justify=justify, no_wrap=name in _UNBROKEN, min_width=width)
    for row, line in zip(table.rows, lines, strict=True):
        grid.add_row(*map(Text, line.cells[:-1]), Text(line.status, style=_style(row)))
    console.print(grid)
    for note in (f"Paper: {table.heading.source}.", wording.setting(table), *wording.footnotes(table)):
        console.print(Text(note))
    if any(result.status == MISSING for row in table.rows for result in row.results):
        console.print(Text("Missing rows: add --run to compute them."))
    _show_card(table, console)


def _least_width(head: str, column: Sequence[str], *, whole: bool) -> int:
    """What a column needs so that no word, and where `whole` no entry, is cut."""
    entries = column if whole else [word for entry in column for word in entry.split()]
    return max(map(len, [*head.split(), *entries]))


def _style(row: Row) -> str:
    statuses = {result.status for result in row.results}
    return next((style for status, style in _STYLES.items() if status in statuses), "")


def _show_card(table: Table, console: Console) -> None:
    entries = cards.card(table)
    if entries:
        grid = Grid(title="Supervision card", title_justify="left", show_header=False)
        for name, value in entries:
            grid.add_row(Text(name), Text(value))
        console.print(grid)


def show_stages(stages: Sequence[tuple[PlannedStage, Sequence[str]]], console: Console) -> None:
    """Print which stages are cached and which would run, each once, with the rows that need it."""
    every = {name for _, rows in stages for name in rows}
    grid = Grid("stage", "key", "status", "rows")
    for stage, rows in stages:
        users = "all" if set(rows) == every else "; ".join(rows)
        grid.add_row(stage.name, stage.key[:8], Text(stage.status()), Text(users))
    console.print(grid)


def table_markdown(table: Table) -> str:
    """A table as markdown, with footnotes, card, classes and what made it."""
    heading = table.heading
    lines = [line.cells for line in wording.rendered_rows(table)]
    parts = [
        f"# {heading.name}: {heading.title}",
        f"{wording.caption(table)}. Paper: {heading.source}. {wording.setting(table)}",
        markdown_grid(wording.column_heads(table), lines),
        "\n".join(f"- {note}" for note in wording.footnotes(table)),
        *_section("Supervision card", markdown_grid(["", ""], [list(entry) for entry in cards.card(table)])),
        *_section(table.heading.per_class_title, _classes(table)),
        *_section("Runs", _runs(table)),
        f"Collected on {table.collected[:10]} by `{table.command}`; written by the collector, never by hand.",
    ]
    return "\n\n".join(parts) + "\n"


def _section(title: str, grid: str) -> list[str]:
    return [f"## {title}", grid] if grid else []


def _classes(table: Table) -> str:
    head = [table.heading.profile or "class", *(title for title, _ in wording.class_columns(table))]
    return markdown_grid(head, [[name, *map(wording.percent, values)] for name, values in wording.class_rows(table)])


def _runs(table: Table) -> str:
    lines = [
        [
            row.name,
            str(result.seed),
            wording.percent(result.value),
            f"`{result.key[:16]}`",
            wording.duration(result.wall_seconds),
            f"{result.device}, {result.cores} cores",
            short_commit(result.commit),
            (result.date or "-")[:10],
        ]
        for row in table.rows
        for result in row.measured
    ]
    return markdown_grid(["row", "seed", "ours", "key", "wall time", "device", "commit", "date"], lines)


def markdown_grid(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table of markdown; empty without lines."""
    if not lines:
        return ""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows)
