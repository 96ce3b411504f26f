"""`wsss data check`: look through all files of a data set and say what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wsss_lightning.commands.options import Name, Overrides, Processes, Root

Masks = Annotated[bool, typer.Option(help="Open every mask: the one command that does, training masks included.")]
Strict = Annotated[bool, typer.Option("--strict", help="Lists must be as long as published, objects need outlines.")]
Json = Annotated[Path | None, typer.Option("--json", dir_okay=False, help="Write all of it to this file, too.")]


def check(
    name: Name,
    overrides: Overrides = None,
    root: Root = None,
    processes: Processes = 0,
    masks: Masks = True,
    strict: Strict = False,
    json_file: Json = None,
) -> None:
    """Open every image and every mask of a data set, compare lists, counts, tags and masks; status 1 on any error.

    Notes are no errors: tags without a pixel in the mask, images without tags, copies of an image in two lists, absent
    training masks, photographs stored turned, files that nothing uses and, without --strict, a list of another length
    than published, an absent test list or objects without an outline.
    """
    from wsss_lightning.pipeline.objects import open_data

    data = open_data(name, root=root, overrides=overrides or [])

    from rich.console import Console

    from wsss_lightning.atomic import write_json
    from wsss_lightning.commands.check_tables import class_balance, findings, split_summary
    from wsss_lightning.data.check import check_data  # torch: a wrong name need not wait for it

    report = check_data(data, processes=processes, masks=masks, strict=strict)
    typer.echo(f"{name} at {report.root}")
    for table in (split_summary(report), class_balance(report), findings(report)):
        if table.row_count:
            Console().print(table)
    typer.echo(f"errors: {len(report.errors):,}, notes: {len(report.notes):,}")
    if json_file is not None:
        write_json(json_file, report.as_json())
    if report.errors:
        raise typer.Exit(1)
