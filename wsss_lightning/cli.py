"""The `wsss` command. Whatever costs time to import is imported inside the command that needs it."""

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsss_lightning.errors import InputError

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from wsss_lightning.pipeline import Plan

# Without rich mark-up, typer prints its help in a third of the time.
app = typer.Typer(
    help="Weakly-supervised semantic segmentation from image tags.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
_HYDRA = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
Overrides = Annotated[list[str] | None, typer.Argument(help="Hydra overrides, for example experiment=points/top.")]


def main() -> None:
    """Entry point: an `InputError` becomes one sentence and exit status 1."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr, force=True)
    for noisy in ("pytorch_lightning", "lightning", "lightning_fabric", "albumentations"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # no look-up of newer releases at import
    try:
        app()
    except InputError as error:
        print(f"wsss: {error}", file=sys.stderr)
        sys.exit(1)


@app.command(context_settings=_HYDRA)
def run(context: typer.Context) -> None:
    """Plan and run a pipeline; everything after `run` is Hydra's (`wsss run --help`, `-m` for sweeps)."""
    import hydra

    from wsss_lightning.pipeline.configuration import one_sentence, project_folder, register_resolvers

    register_resolvers()
    # Hydra prints a cut traceback of its own unless told to hand exceptions on.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = ["wsss run", *context.args]
    job = hydra.main(version_base="1.3", config_path=str(project_folder("conf")), config_name="config")(run_job)
    with one_sentence():
        job()


def run_job(config: "DictConfig") -> float:
    """One job of a run or a sweep; returns the first metric of its result, for sweepers."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import open_dict

    from wsss_lightning import pipeline
    from wsss_lightning.pipeline.planning import plan_config
    from wsss_lightning.pipeline.store import write_json

    settings = HydraConfig.get()
    folder = Path(settings.runtime.output_dir)
    with open_dict(config):
        config.run.group = Path(settings.sweep.dir).name if settings.mode and settings.mode.name == "MULTIRUN" else None
        config.run.name = settings.job.override_dirname or config.result
    plan = plan_config(config)
    typer.echo(f"{settings.job.override_dirname or 'defaults'}", err=True)
    metrics = pipeline.run(plan)
    write_json(folder / "metrics.json", metrics)
    write_json(folder / "stages.json", {stage.name: str(stage.folder) for stage in plan.stages.values()})
    _print_metrics(metrics, folder / "metrics.json")
    return next(iter(metrics.values()), float("nan"))


def _print_metrics(metrics: dict[str, float], path: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("metric", "value")
    for name, value in metrics.items():
        table.add_row(name, f"{value:.4f}")
    Console().print(table)
    typer.echo(f"written to {path}")


@app.command("plan")
def show_plan(overrides: Overrides = None) -> None:
    """Show the stages of a pipeline, their keys, what is cached and what would run."""
    from wsss_lightning import pipeline

    _print_plan(pipeline.plan(overrides or []))


def _print_plan(plan: "Plan") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("stage", "key", "status", "folder")
    for stage in plan.stages.values():
        table.add_row(stage.name, stage.key[:8], stage.status(), stage.folder.name)
    Console().print(table)


@app.command()
def rerun(
    record: Annotated[Path, typer.Argument(help="The stage.json of a finished stage.")],
    out_dir: Annotated[Path | None, typer.Option(help="Where to; default: STAGE-rerun beside the stage.")] = None,
) -> None:
    """Run one stage again from its record alone; the finished stage is left as it is."""
    from wsss_lightning import pipeline

    for name, value in pipeline.rerun(record, out_dir=out_dir).items():
        typer.echo(f"{name} {value:.6f}")


if __name__ == "__main__":
    main()
