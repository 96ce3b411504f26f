"""`wsss run`: one job, or a sweep of them; what is typed behind it is Hydra's."""

import logging
import os
import sys
import time
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from wsss_lightning.allocator import keep_freed_memory
from wsss_lightning.atomic import storage_fault
from wsss_lightning.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection

    from omegaconf import DictConfig

    from wsss_lightning.pipeline import Plan

HYDRA = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}  # of the command's context
_SHOWN_METRICS = 3  # of a job of a sweep; a class has one of its own, and metrics.json has them all


def prepare_process(head: str = "") -> None:
    """Messages on standard error, each behind `head`, and a fast allocator; a launcher's processes need both, too."""
    logging.basicConfig(level=logging.INFO, format=f"{head}%(message)s", stream=sys.stderr, force=True)
    keep_freed_memory()


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
        may_add,
        one_sentence,
        project_folder,
        show_references,
    )
    from wsss_lightning.pipeline.overrides import check_overrides
    from wsss_lightning.pipeline.submission import check_launcher, go_on_from_copy, launching, prepare_launcher

    conf = project_folder("conf")
    with one_sentence():
        check_overrides([*filter(_is_override, context.args)], conf)
    check_launcher(context.args)
    go_on_from_copy(context.args)
    prepare_launcher(context.args)
    remember()
    logging.getLogger("alembic").setLevel(logging.WARNING)  # which names each plugin that Optuna's storage has
    if "--resolve" in context.args:  # of `--cfg job`, which shows what no stage has asked for
        show_references()
    # Hydra prints a cut traceback of its own unless told to hand exceptions on.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    given = [may_add(argument) for argument in context.args]
    # Between overrides an option makes argparse refuse those behind it.
    sys.argv = ["wsss run", *sorted(given, key=_is_override)]
    names, start = [name for names in fresh or [] for name in names.split(",")], time.time()

    @hydra.main(version_base="1.3", config_path=str(conf), config_name="config")
    def job(config: DictConfig) -> float:
        return run_job(config, fresh=names, since=start, given=given)

    try:
        with one_sentence(), launching():
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
    from rich.console import Console
    from rich.table import Table

    if metrics:
        table = Table("metric", "value")
        for name, value in metrics.items():
            table.add_row(name, f"{value:.4f}")
        Console().print(table)
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
    from wsss_lightning.pipeline.configuration import plain_dict
    from wsss_lightning.pipeline.objective import TAGS_ALONE, searched_on, searches
    from wsss_lightning.pipeline.submission import end_with_sweep
    from wsss_lightning.pipeline.teams import lends

    settings = cast("DictConfig", HydraConfig.get())
    sweep = settings.mode == RunMode.MULTIRUN
    if sweep:
        end_with_sweep(settings.launcher)
    head = f"job {settings.job.num}: " if sweep else ""
    prepare_process(head)
    overrides = str(plain_dict(settings.job, resolve=False)["override_dirname"])
    with open_dict(config):
        if sweep and searches(plain_dict(settings.sweeper, resolve=False)):
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
    finally:
        prepare_process()  # what Hydra says of the next job is not this one's


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
    from wsss_lightning.atomic import write_json
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
    from wsss_lightning.atomic import read_mapping, write_json
    from wsss_lightning.pipeline.accelerators import own
    from wsss_lightning.pipeline.configuration import origin_of, plain_dict
    from wsss_lightning.pipeline.naming import named
    from wsss_lightning.pipeline.objective import fixed, objective, searches
    from wsss_lightning.pipeline.planning import looking_once, plan_config
    from wsss_lightning.pipeline.submission import shares_devices

    with looking_once(since if given is not None else None):
        plan = plan_config(config, origin := origin_of(settings))
    group = None if given is None else Path(settings.sweep.dir).name
    plan = named(plan, origin.overrides, group=group, given=given or ())
    write_json(folder / "stages.json", {stage.name: str(stage.folder) for stage in plan.stages.values()})
    with own(plan.devices) if shares_devices(settings.launcher) else nullcontext():
        metrics = pipeline.run(plan, fresh=fresh, since=since)
    told = objective(plan, metrics, config.objective)
    if given is not None and searches(plain_dict(settings.sweeper, resolve=False)):
        trials = [read_mapping(path) for path in folder.parent.glob("*/stages.json") if path.parent != folder]
        if doubt := fixed(plan, metrics, config.objective, trials):
            logging.getLogger(__name__).warning(doubt)
    if head:
        shown = [f"{name} {value:.4f}" for name, value in [*metrics.items()][:_SHOWN_METRICS]]
        typer.echo(f"{head}{', '.join(shown) or 'no metrics'} ({plan.final.folder})")
    else:
        _print_outcome(plan, metrics)
    write_json(folder / "metrics.json", metrics)
    typer.echo(f"{head}written to {folder / 'metrics.json'}")
    return told
