"""The `wsss` command. Whatever costs time to import is imported inside the command that needs it."""

import importlib.metadata
import sys
from typing import Annotated

import typer

from wsss_lightning.commands import data, store
from wsss_lightning.commands.catalogue import catalogue
from wsss_lightning.commands.evaluate import evaluate
from wsss_lightning.commands.export import export
from wsss_lightning.commands.join import join
from wsss_lightning.commands.plan import rerun, show_plan
from wsss_lightning.commands.predict import predict
from wsss_lightning.commands.report import report
from wsss_lightning.commands.run import HYDRA, prepare_process, run
from wsss_lightning.commands.submit import submit
from wsss_lightning.commands.summary import summary
from wsss_lightning.commands.table import table
from wsss_lightning.errors import InputError

# Without rich mark-up, typer prints its help in a third of the time.
app = typer.Typer(
    help="Weakly-supervised semantic segmentation from image tags.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
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
app.command("run", context_settings=HYDRA)(run)
app.command("plan")(show_plan)
app.command("rerun")(rerun)
app.command("table")(table)


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
    """Entry point: an `InputError` becomes one sentence and exit status 1, Ctrl-C another and 130."""
    prepare_process()
    try:
        app()
    except InputError as error:
        print(f"wsss: {error}", file=sys.stderr)
        sys.exit(1)
    except SystemExit as end:  # of typer, or of Lightning in the middle of a training
        if not _interrupted(end):
            raise
        print("wsss: interrupted. What is finished is kept, and the same command goes on from there.", file=sys.stderr)
        sys.exit(130)


def _interrupted(error: BaseException | None) -> bool:
    """Whether it was Ctrl-C that led to `error`; what errors say of each other may go round in a circle."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen and not isinstance(error, KeyboardInterrupt):
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return isinstance(error, KeyboardInterrupt)


if __name__ == "__main__":
    main()
