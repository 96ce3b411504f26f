"""`wsss join`: lend this machine to a run that is started on another."""

import os
from pathlib import Path
from typing import Annotated

import typer


def join(
    store: Annotated[Path | None, typer.Option(help="The store that the machines share; default: paths.store.")] = None,
    team: Annotated[str | None, typer.Option(help="What the run calls its machines; default: runtime.team.")] = None,
    number: Annotated[
        int | None, typer.Option(min=1, help="Of this machine; default: SLURM_NODEID, or 1.", show_default=False)
    ] = None,
) -> None:
    """Lend this machine's devices to a run with trainer.num_nodes > 1 on another machine, until that run ends."""
    from wsss_lightning.pipeline import compose, teams

    config = compose([])
    place, name = store or Path(str(config.paths.store)), team or str(config.runtime.team)
    own = int(os.environ.get("SLURM_NODEID", "1")) if number is None else number
    teams.join(teams.Team(place.resolve(), name), number=own)
