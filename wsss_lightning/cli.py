"""The `wsss` command. Whatever costs time to import is imported inside the command that needs it."""

import importlib.metadata
import logging
import os
import sys
import time
from contextlib import nullcontext, suppress
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from wsss_lightning.allocator import keep_freed_memory
from wsss_lightning.atomic import storage_fault
from wsss_lightning.commands import data, store
from wsss_lightning.commands.catalogue import catalogue
from wsss_lightning.commands.evaluate import evaluate
from wsss_lightning.commands.export import export
from wsss_lightning.commands.join import join
from wsss_lightning.commands.predict import predict
from wsss_lightning.commands.report import report
from wsss_lightning.commands.submit import submit
from wsss_lightning.commands.summary import summary
from wsss_lightning.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection

    from omegaconf import DictConfig

    from wsss_lightning.pipeline import Plan
    from wsss_lightning.tables.cells import Cell
    from wsss_lightning.tables.results import Table

# Without rich mark-up, typer prints its help in a third of the time.
app = typer.Typer(
    help="Weakly-supervised semantic segmentation from image tags.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
_SHOWN_METRICS = 3  # of a job of a sweep; a class has one of its own, and metrics.json has them all
_WIDTH = 110  # of a plan where no terminal says one
_HYDRA = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
Overrides = Annotated[list[str] | None, typer.Argument(help="Hydra overrides, for example experiment=points/top.")]
app.add_typer(data.app, name="data")
app.add_typer(store.app, name="store")
app.command("list")(catalogue)
app.command("join")(join)
app.command("predict")(predict)
app.command("export")(export)
app.command("evaluate")(evaluate)
app.command("submit")(submit)
app.command("summary")(summary)
app.command("report")(report)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"wsss_lightning {importlib.metadata.version('wsss-lightning')}")
        raise typer.Exit


@app.callback()
def wsss(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Weakly-supervised semantic segmentation from image tags."""


def main() -> None:
    """Entry point: an `InputError` becomes one sentence and exit status 1."""
    _prepare_process()
    try:
        app()
    except InputError as error:
        print(f"wsss: {error}", file=sys.stderr)
        sys.exit(1)


def _prepare_process(head: str = "") -> None:
    """Messages on standard error, each behind `head`, and a fast allocator; a launcher's processes need both, too."""
    logging.basicConfig(level=logging.INFO, format=f"{head}%(message)s", stream=sys.stderr, force=True)
    keep_freed_memory()


@app.command(context_settings=_HYDRA)
def run(
    context: typer.Context,
    fresh: Annotated[list[str] | None, typer.Option(help="Stages to compute again, and all that read them.")] = None,
) -> None:
    """Plan and run a pipeline; everything after `run` is Hydra's (`wsss run --help`, `-m` for sweeps) but `--fresh`.

    `--fresh STAGE[,STAGE...]` computes finished stages again, and with them every stage that reads them.
    """
    import hydra
    from omegaconf import DictConfig

    from wsss_lightning.pipeline.accelerators import remember
    from wsss_lightning.pipeline.configuration import (
        check_ablations,
        may_add,
        one_sentence,
        project_folder,
        show_references,
    )
    from wsss_lightning.pipeline.submission import go_on_from_copy, prepare

    check_ablations(context.args)
    go_on_from_copy(context.args)
    prepare(context.args)
    remember()
    if "--resolve" in context.args:  # of `--cfg job`, which shows what no stage has asked for
        show_references()
    # Hydra prints a cut traceback of its own unless told to hand exceptions on.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    given = [may_add(argument) for argument in context.args]
    # Between overrides an option makes argparse refuse those behind it.
    sys.argv = ["wsss run", *sorted(given, key=_is_override)]
    names, start = [name for names in fresh or [] for name in names.split(",")], time.time()

    @hydra.main(version_base="1.3", config_path=str(project_folder("conf")), config_name="config")
    def job(config: DictConfig) -> float:
        return run_job(config, fresh=names, since=start, given=given)

    try:
        with one_sentence():
            job()
    except OSError as error:  # Hydra makes the folder of the run's own files before anything else
        if (reason := storage_fault(error)) is None or {"-m", "--multirun"} & {*given}:
            raise
        _show_finished(given, f"{error.filename or 'the store'} cannot be written ({reason})")


def _is_override(argument: str) -> bool:
    return argument.startswith("~") or ("=" in argument and not argument.startswith("-"))


def _show_finished(overrides: list[str], fault: str) -> None:
    """What a run prints where nothing can be written: everything, if all of its stages are finished."""
    from wsss_lightning import pipeline

    plan = pipeline.plan(overrides)
    if unfinished := [stage.name for stage in plan.stages.values() if stage.record() is None]:
        raise InputError(f"{fault}, and {unfinished[0]} has yet to run: set paths.root.")
    _print_outcome(plan, pipeline.run(replace(plan, loggers={})))
    typer.echo(f"nothing was written: {fault}")


def _print_outcome(plan: "Plan", metrics: dict[str, float]) -> None:
    if metrics:
        _print_metrics(metrics)
    typer.echo(f"{plan.final.name}: {plan.final.folder}")


def run_job(
    config: "DictConfig",
    *,
    fresh: "Collection[str]" = (),
    since: float | None = None,
    given: "Collection[str]" = (),
) -> float:
    """One job of a run or a sweep; returns its `objective`, for sweepers.

    `fresh`, `since`: see `pipeline.run`; `given`: the command line, of which a sweep's jobs are variants.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import open_dict

    from wsss_lightning.pipeline.cards import SEARCHED
    from wsss_lightning.pipeline.configuration import plain
    from wsss_lightning.pipeline.objective import TAGS_ALONE, searched_on, searches
    from wsss_lightning.pipeline.teams import lends

    settings = cast("DictConfig", HydraConfig.get())
    sweep = settings.mode == RunMode.MULTIRUN
    head = f"job {settings.job.num}: " if sweep else ""
    _prepare_process(head)
    overrides = str(plain(settings.job, resolve=False)["override_dirname"])
    with open_dict(config):
        if sweep and searches(plain(settings.sweeper, resolve=False)):
            config.objective = config.objective or TAGS_ALONE
            config.card[SEARCHED] = searched_on(config.objective)
    if lends(config):
        return _lend(config, Path(settings.runtime.output_dir), keep=sweep)
    typer.echo(f"{head}{overrides or 'defaults'}", err=True)
    folder, typed = Path(settings.runtime.output_dir), given if sweep else None
    try:
        return _run_into(folder, config, settings, head=head, fresh=fresh, since=since, given=typed)
    except Exception as error:
        if sweep:  # at the end Hydra shows what the first of the failed jobs raised, and nothing of the others
            _note_failure(folder, settings.job.num, error)
        elif isinstance(error, InputError):  # raised, it would be announced by Hydra in its own words
            sys.exit(f"wsss: {error}")
        raise


def _lend(config: "DictConfig", folder: Path, *, keep: bool) -> float:
    """What another machine of a SLURM job than its first does in the place of the job."""
    import shutil

    from wsss_lightning.pipeline.teams import Team, join

    if not keep:
        shutil.rmtree(folder, ignore_errors=True)  # Hydra has made it before it called us
    store = Path(str(config.paths.store)).resolve()
    join(Team(store, str(config.runtime.team)), number=int(os.environ["SLURM_NODEID"]))
    return float("nan")


def _note_failure(folder: Path, number: int, error: Exception) -> None:
    """Say why a job of a sweep failed, here and in its folder, where `wsss summary` reads it."""
    from wsss_lightning.pipeline.store import write_json
    from wsss_lightning.tables.jobs import FAILURE

    sentence = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}".rstrip(": ")
    typer.echo(f"job {number} failed: {error or sentence}", err=True)
    with suppress(InputError):  # a full disk, which is most likely what the job failed of
        write_json(folder / FAILURE, {"failure": sentence})


def _run_into(
    folder: Path,
    config: "DictConfig",
    settings: "DictConfig",
    *,
    head: str,
    fresh: "Collection[str]",
    since: float | None,
    given: "Collection[str] | None",
) -> float:
    from wsss_lightning import pipeline
    from wsss_lightning.pipeline.accelerators import own
    from wsss_lightning.pipeline.configuration import origin_of
    from wsss_lightning.pipeline.naming import named
    from wsss_lightning.pipeline.objective import objective
    from wsss_lightning.pipeline.planning import looking_once, plan_config
    from wsss_lightning.pipeline.store import write_json
    from wsss_lightning.pipeline.submission import shares_devices

    with looking_once(since if given is not None else None):
        plan = plan_config(config, origin := origin_of(settings))
    group = None if given is None else Path(settings.sweep.dir).name
    plan = named(plan, origin.overrides, group=group, given=given or ())
    write_json(folder / "stages.json", {stage.name: str(stage.folder) for stage in plan.stages.values()})
    with own(plan.devices) if shares_devices(settings.launcher) else nullcontext():
        metrics = pipeline.run(plan, fresh=fresh, since=since)
    told = objective(plan, metrics, config.objective)
    if head:
        shown = [f"{name} {value:.4f}" for name, value in [*metrics.items()][:_SHOWN_METRICS]]
        typer.echo(f"{head}{', '.join(shown) or 'no metrics'} ({plan.final.folder})")
    else:
        _print_outcome(plan, metrics)
    write_json(folder / "metrics.json", metrics)
    typer.echo(f"{head}written to {folder / 'metrics.json'}")
    return told


def _print_metrics(metrics: dict[str, float]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("metric", "value")
    for name, value in metrics.items():
        table.add_row(name, f"{value:.4f}")
    Console().print(table)


@app.command("plan")
def show_plan(
    overrides: Overrides = None,
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

    from wsss_lightning.pipeline.estimates import Cost, check_room, cost, estimated, items, room, rounded

    table, missing = Table("stage", "key", "status", "items", "time", "disk", "folder"), []
    for stage in plan.stages.values():
        status = stage.status()
        if not status.startswith("cached"):
            missing.append(stage)
        each = cost(stage) if missing[-1:] == [stage] else Cost(items(stage), None, None)
        costs = (each.items, each.seconds, each.bytes)
        shown = [
            "" if value is None else form(value)
            for value, form in zip(costs, ("{:,}".format, rounded, room), strict=True)
        ]
        table.add_row(stage.name, stage.key[:8], status, *shown, stage.folder.name)
    console = Console()
    console.width = max(console.width, _WIDTH)
    console.print(table)
    if missing:
        typer.echo(estimated(missing), nl=bool(estimated(missing)))
        check_room(missing)


@app.command()
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


class Format(StrEnum):
    """How `wsss table` prints."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"
    HTML = "html"


@app.command()
def table(
    file: Annotated[str, typer.Argument(help="A paper's table, for example points/table2, or a YAML file's path.")],
    overrides: Overrides = None,
    launch: Annotated[bool, typer.Option("--run", help="Run the rows that are missing.")] = False,
    dry: Annotated[bool, typer.Option("--plan", help="Only show what is cached and what would run.")] = False,
    style: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TEXT,
    keep: Annotated[bool, typer.Option("--save", help="Write experiments/<method>/results/*.json and .md.")] = False,
    suffix: Annotated[str | None, typer.Option(help="End of the saved files' name.")] = None,
    note: Annotated[list[str] | None, typer.Option(help="A footnote on our numbers, for example: reduced.")] = None,
) -> None:
    """Show a paper's table beside ours; overrides go to every row, seed=0,1,2 to several runs of each."""
    from wsss_lightning.tables.cells import plan_cells, run_missing
    from wsss_lightning.tables.collect import collect, output_root, write_snapshot
    from wsss_lightning.tables.spec import find_spec, read_spec

    spec, given = read_spec(find_spec(file)), overrides or []
    cells = plan_cells(spec, given)
    if dry:
        _print_cells(cells)
        return
    root, failures = output_root(given, cells), run_missing(cells, spec.heading.name) if launch else {}
    found = collect(spec, given, cells, root=root, failures=failures, notes=note or [])
    write_snapshot(found, root)
    _print_table(found, style, root)
    if keep:
        from wsss_lightning.tables.saving import results_folder, save

        typer.echo(f"written to {save(found, results_folder(spec.path), suffix=suffix)}", err=True)
    if failures:
        raise typer.Exit(1)


def _print_cells(cells: "list[Cell]") -> None:
    from rich.console import Console

    from wsss_lightning.tables.cells import needed
    from wsss_lightning.tables.render import show_stages

    show_stages(needed(cells), Console())


def _print_table(found: "Table", style: Format, root: Path) -> None:
    from rich.console import Console

    from wsss_lightning.tables.render import markdown, show
    from wsss_lightning.tables.results import as_json

    if style is Format.TEXT:
        show(found, Console())
    elif style is Format.MARKDOWN:
        typer.echo(markdown(found), nl=False)
    elif style is Format.JSON:
        typer.echo(as_json(found))
    else:
        from wsss_lightning.tables.report import page

        typer.echo(page([found], root))


if __name__ == "__main__":
    main()
