"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Name = Annotated[str, typer.Argument(help="A data set: the name of a file of conf/data, for example voc.")]
Root = Annotated[Path | None, typer.Option(help="The data set's folder; default: data.root of its configuration.")]
Overrides = Annotated[list[str] | None, typer.Argument(help="Hydra overrides, for example 'data.classes=[cat,dog]'.")]
Processes = Annotated[
    int, typer.Option(min=0, envvar="WSSS_PROCESSES", help="How many processes work at once; 0: one for each core.")
]
PlanOverrides = Annotated[list[str] | None, typer.Argument(help="Hydra overrides, for example experiment=points/top.")]
