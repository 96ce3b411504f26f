"""`wsss plan`: what would run. `wsss rerun`: one finished stage again, from its record."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsss_lightning.commands.options import PlanOverrides

if TYPE_CHECKING:
    from wsss_lightning.pipeline import Plan

_WIDTH = 110  # of a plan where no terminal says one


def show_plan(
    overrides: PlanOverrides = None,
    stage: Annotated[str | None, typer.Option("--show", help="Print this stage's resolved node instead.")] = None,
) -> None:
    """Show the stages of a pipeline, their keys, what is cached and what would run."""
    from wsss_lightning import pipeline

    planned = pipeline.plan(overrides or [])
    if stage is None:
        _print_plan(planned)
    else:
        typer.echo(planned.described(stage), nl=False)


def _print_plan(plan: "Plan") -> None:
    from rich.console import Console
    from rich.table import Table

    from wsss_lightning.pipeline.accelerators import emulated
    from wsss_lightning.pipeline.estimates import Cost, check_room, cost, estimated, items, room, rounded_time

    table, missing = Table("stage", "key", "status", "items", "time", "disk", "folder"), []
    known: dict[str, int | None] = {}
    for stage in plan.stages.values():
        status = stage.status()
        if not status.startswith("cached"):
            missing.append(stage)
        each = cost(stage, known) if missing[-1:] == [stage] else Cost(items(stage, known), None, None)
        known[stage.name] = each.items
        costs = (each.items, each.seconds, each.bytes)
        shown = [
            "" if value is None else form(value)
            for value, form in zip(costs, ("{:,}".format, rounded_time, room), strict=True)
        ]
        table.add_row(stage.name, stage.key[:8], status, *shown, stage.folder.name)
    console = Console()
    console.width = max(console.width, _WIDTH)
    console.print(table)
    if missing:
        for told in filter(None, (estimated(missing), emulated(stage.node for stage in missing))):
            typer.echo(told)
        check_room(missing)


def rerun(
    record: Annotated[Path, typer.Argument(help="The stage.json of a finished stage.")],
    out_dir: Annotated[Path | None, typer.Option(help="Where to; default: STAGE-rerun beside the stage.")] = None,
    trust: Annotated[
        list[str] | None, typer.Option(metavar="PACKAGE", help="Also call code of this package (repeatable).")
    ] = None,
) -> None:
    """Run one stage again from its record alone; the finished stage is left as it is.

    A record can come from anywhere: it calls this project's code and that of packages that `--trust` names.
    """
    from wsss_lightning import pipeline

    for name, value in pipeline.rerun(record, out_dir=out_dir, trust=trust or []).items():
        typer.echo(f"{name} {value:.6f}")
