"""`wsss summary`: what a sweep varied, and what came of it."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class SummaryFormat(StrEnum):
    """How `wsss summary` prints."""

    TEXT = "text"
    MARKDOWN = "markdown"
    CSV = "csv"
    HTML = "html"


def summary(
    sweeps: Annotated[
        list[str] | None, typer.Argument(help="Folders, patterns or names of sweeps; default: the latest one.")
    ] = None,
    by: Annotated[str | None, typer.Option(help="Settings that make a row, NAME[,...]; default: all but seed.")] = None,
    metric: Annotated[str | None, typer.Option(help="Of the result or a stage; default: the result's first.")] = None,
    reference: Annotated[str | None, typer.Option(help="Row to compare with, NAME=VALUE; default: first.")] = None,
    style: Annotated[SummaryFormat, typer.Option("--format", help="How to print.")] = SummaryFormat.TEXT,
    root: Annotated[Path | None, typer.Option(help="Where runs are; default: paths.root.")] = None,
) -> None:
    """Show sweeps of `wsss run -m` as a table: means over seeds, paired intervals, failures; several side by side."""
    from rich.console import Console

    from wsss_lightning.pipeline import compose
    from wsss_lightning.tables.jobs import find_sweeps
    from wsss_lightning.tables.summary import summarise
    from wsss_lightning.tables.summary_text import print_summary, summary_csv, summary_html, summary_markdown

    runs = root or Path(str(compose([]).paths.root))
    names = [name.strip() for name in by.split(",")] if by else []
    averages = summarise(find_sweeps(sweeps or [], runs), by=names, metric=metric, reference=reference)
    if style is SummaryFormat.TEXT:
        print_summary(averages, Console())
    elif style is SummaryFormat.CSV:
        typer.echo(summary_csv(averages), nl=False)
    else:
        typer.echo(summary_markdown(averages) if style is SummaryFormat.MARKDOWN else summary_html(averages))
