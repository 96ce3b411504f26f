"""`wsss data import`: masks or CAMs of another repository as a source that a second stage trains on."""

from pathlib import Path
from typing import Annotated

import typer

from wsss_lightning.commands.evaluate import SplitChoice
from wsss_lightning.commands.options import Name, Overrides, Processes, Root


def import_labels(
    folder: Annotated[Path, typer.Argument(help="Index PNGs, or .npy dictionaries of IRNet, SEAM, psa, CLIP-ES.")],
    name: Name,
    overrides: Overrides = None,
    *,
    out: Annotated[Path, typer.Option(help="The folder to write, for imported.root.")],
    root: Root = None,
    split: Annotated[SplitChoice, typer.Option(help="Whose images they are of.")] = SplitChoice.TRAIN,
    classes: Annotated[
        str | None, typer.Option(help="Their classes in the order of their indices, a,b,c; default: the data set's.")
    ] = None,
    origin: Annotated[
        str | None, typer.Option(help="Whose they are, for the card; default: the folder's name.")
    ] = None,
    supervision: Annotated[str, typer.Option(help="What they were made from, for the card.")] = "not said",
    partial: Annotated[bool, typer.Option("--partial", help="Leave out images without a file.")] = False,
    processes: Processes = 0,
) -> None:
    """Check foreign masks or CAMs (sizes, classes, tags) and write them for `source=masks imported.root=OUT`."""
    from wsss_lightning.pipeline.objects import open_data

    data = open_data(name, root=root, overrides=overrides or [])

    from wsss_lightning.scoring.importing import import_predictions  # torch: a wrong name need not wait for it

    imported, untagged = import_predictions(
        folder=folder,
        data=data,
        split=split.value,
        out=out,
        classes=None if classes is None else [part.strip() for part in classes.split(",")],
        origin=origin or folder.resolve().name,
        supervision=supervision,
        partial_ok=partial,
        processes=processes,
    )
    typer.echo(f"{imported.kind} of {imported.images:,} images, {imported.missing:,} missing")
    if untagged:
        typer.echo(f"{len(untagged):,} show a class that is none of the image's tags, such as {untagged[0]}")
    if imported.truth:
        typer.echo(f"{imported.truth:,} are the data set's own masks, pixel for pixel: cards will say ground truth")
    typer.echo(f"written to {out}: train on it with source=masks imported.root={out}")
