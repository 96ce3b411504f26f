"""`wsss store`: look after finished stages."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Look after finished stages.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def store() -> None:
    """A command of its own for each thing to do, though there is one alone."""


@app.command()
def verify(
    stages: Annotated[list[str] | None, typer.Argument(help="Names or folders of stages; default: all.")] = None,
    folder: Annotated[Path | None, typer.Option("--store", help="The store; default: paths.store.")] = None,
) -> None:
    """Hash every file of finished stages and name those that are lost or changed; status 1 if there are any."""
    from wsss_lightning.pipeline import compose
    from wsss_lightning.pipeline.contents import verified

    place = folder or Path(str(compose([]).paths.store))
    counts = {"whole": 0, "damaged": 0, "without a list of files": 0}
    for name, verdict, found in verified(place, stages or []):
        counts[verdict] += 1
        for file in found:
            typer.echo(f"{name}: {file}")
    typer.echo(f"{place}: " + ", ".join(f"{count:,} {verdict}" for verdict, count in counts.items()))
    if counts["damaged"]:
        raise typer.Exit(1)
