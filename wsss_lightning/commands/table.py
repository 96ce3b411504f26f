"""`wsss table`: a paper's table beside ours."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsss_lightning.commands.options import PlanOverrides

if TYPE_CHECKING:
    from wsss_lightning.tables.results import Table


class Format(StrEnum):
    """How `wsss table` prints."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"
    HTML = "html"


def table(
    file: Annotated[str, typer.Argument(help="A paper's table, for example points/table2, or a YAML file's path.")],
    overrides: PlanOverrides = None,
    launch: Annotated[bool, typer.Option("--run", help="Run the rows that are missing.")] = False,
    dry: Annotated[bool, typer.Option("--plan", help="Only show what is cached and what would run.")] = False,
    style: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TEXT,
    keep: Annotated[bool, typer.Option("--save", help="Write experiments/<method>/results/*.json and .md.")] = False,
    suffix: Annotated[str | None, typer.Option(help="End of the saved files' name.")] = None,
    note: Annotated[list[str] | None, typer.Option(help="A footnote on our numbers, for example: reduced.")] = None,
) -> None:
    """Show a paper's table beside ours; overrides go to every row, seed=0,1,2 to several runs of each."""
    from wsss_lightning.tables.cells import needed, plan_cells, run_missing
    from wsss_lightning.tables.collect import collect, output_root, write_snapshot
    from wsss_lightning.tables.spec import find_spec, read_spec

    spec, given = read_spec(find_spec(file)), overrides or []
    cells = plan_cells(spec, given)
    if dry:
        from rich.console import Console

        from wsss_lightning.tables.render import show_stages

        show_stages(needed(cells), Console())
        return
    root, failures = output_root(given, cells), run_missing(cells, spec.heading.name) if launch else {}
    comparison = collect(spec, given, cells, root=root, failures=failures, notes=note or [])
    write_snapshot(comparison, root)
    _print_table(comparison, style, root)
    if keep:
        from wsss_lightning.tables.saving import results_folder, save_table

        typer.echo(f"written to {save_table(comparison, results_folder(spec.path), suffix=suffix)}", err=True)
    if failures:
        raise typer.Exit(1)


def _print_table(comparison: "Table", style: Format, root: Path) -> None:
    from rich.console import Console

    from wsss_lightning.tables.render import print_table, table_markdown
    from wsss_lightning.tables.results import as_json

    if style is Format.TEXT:
        print_table(comparison, Console())
    elif style is Format.MARKDOWN:
        typer.echo(table_markdown(comparison), nl=False)
    elif style is Format.JSON:
        typer.echo(as_json(comparison))
    else:
        from wsss_lightning.tables.report import page

        typer.echo(page([comparison], root))
