"""`wsss plan`: what would run. `wsss rerun`: one finished stage again, from its record."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsss_lightning.commands.options import PlanOverrides

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wsss_lightning.pipeline.planning import PlannedStage

_WIDTH = 110  # of a plan where no terminal says one


def show_plan(
    overrides: PlanOverrides = None,
    stage: Annotated[str | None, typer.Option("--show", help="Print this stage's resolved node instead.")] = None,
    sweep: Annotated[bool, typer.Option("--multirun", "-m", help="Plan all jobs of a sweep.")] = False,
) -> None:
    """Show the stages of a pipeline, or of a sweep's, their keys, what is cached and what would run."""
    from wsss_lightning import pipeline

    given = overrides or []
    if stage is None and (sweep or any(each.startswith("sweep=") for each in given)):
        _print_sweep(given)
        return
    planned = pipeline.plan(given)
    if stage is None:
        _print_stages([*planned.stages.values()])
    else:
        typer.echo(planned.described(stage), nl=False)


def _print_sweep(overrides: list[str]) -> None:
    """Every job by what tells it from the others, and every stage once, with the jobs that need it."""
    from wsss_lightning import pipeline
    from wsss_lightning.pipeline.planning import looking_once
    from wsss_lightning.pipeline.sweeps import jobs_of_sweep

    jobs, stages, users = jobs_of_sweep(overrides), {}, dict[str, list[str]]()
    common = set.intersection(*map(set, jobs)) if len(jobs) > 1 else set()
    with looking_once():
        plans = [pipeline.plan(job, several=True) for job in jobs]
    for number, (job, plan) in enumerate(zip(jobs, plans, strict=True)):
        typer.echo(f"job {number}: {' '.join(each for each in job if each not in common)}")
        for stage in plan.stages.values():
            stages[stage.key] = stage
            users.setdefault(stage.key, []).append(str(number))
    told = {key: "all" if len(each) == len(jobs) else ", ".join(each) for key, each in users.items()}
    _print_stages([*stages.values()], told)


def _print_stages(stages: "Sequence[PlannedStage]", jobs: "Mapping[str, str] | None" = None) -> None:
    """`jobs`: of a sweep that need a stage, by its key."""
    from rich.console import Console
    from rich.table import Table

    from wsss_lightning.pipeline.accelerators import emulated
    from wsss_lightning.pipeline.estimates import Cost, check_room, cost, estimated, items, room, rounded_time

    heads = ("stage", "key", "status", *(("jobs",) if jobs else ()), "items", "time", "disk", "folder")
    table, missing = Table(*heads), []
    known: dict[str, int | None] = {}
    for stage in stages:
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
        needed = (jobs[stage.key],) if jobs else ()
        table.add_row(stage.name, stage.key[:8], status, *needed, *shown, stage.folder.name)
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
