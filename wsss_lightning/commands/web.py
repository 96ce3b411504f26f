"""`wsss data prepare web`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsss_lightning.commands.options import Processes

if TYPE_CHECKING:
    from wsss_lightning.data.prepare.web import PreparedWeb

Source = Annotated[Path, typer.Option(help="Holds one folder of image files per class name.")]
Target = Annotated[Path, typer.Option("--root", envvar="WSSS_WEB", help="Where JPEGImages and tags.csv are written.")]
Names = Annotated[str | None, typer.Option(help="The classes, separated by commas; default: VOC's twenty.")]
LongSide = Annotated[
    int,
    typer.Option(
        min=16,
        max=65_500,  # JPEG's own limit
        help="Largest side of the images in px: 500 for training, as VOC has; 340 is what the paper's co-segmentation "
        "takes, and can be made from 500.",
    ),
]
Duplicates = Annotated[
    int,
    typer.Option(
        min=-1,
        max=255,
        help="Near-duplicates differ in at most so many of a perceptual hash's 255 signs; two of 3,454 photographs "
        "differ in at least 79. -1: only files of the same content are left out (the paper kept all).",
    ),
]


def prepare_web(
    source: Source,
    root: Target,
    names: Names = None,
    long_side: LongSide = 500,
    duplicates: Duplicates = 40,
    processes: Processes = 0,
) -> None:
    """Web images by class name: JPEGs, their tags, and a list of what is left out (damaged, duplicate, two classes)."""
    from wsss_lightning.data.prepare.web import prepare_web as prepare
    from wsss_lightning.data.voc import VOC_CLASSES

    done = prepare(
        source,
        root,
        names=[name.strip() for name in names.split(",")] if names else VOC_CLASSES,
        long_side=long_side,
        within=duplicates,
        processes=processes,
    )
    _print(done)
    typer.echo(f"written to {root / 'tags.csv'}; what was left out and why: {root / 'left_out.csv'}")


def _print(done: PreparedWeb) -> None:
    from rich.console import Console
    from rich.table import Table

    outcomes = [(picture.name, "kept") for picture in done.kept] + [(item.name, item.reason) for item in done.left_out]
    counts, columns = Counter(outcomes), ("kept", "undecodable", "duplicate", "two classes")
    table = Table("class", "files", *columns)
    for name, files in sorted(Counter(name for name, _ in outcomes).items()):
        table.add_row(name, f"{files:,}", *(f"{counts[name, column]:,}" for column in columns))
    totals = Counter(outcome for _, outcome in outcomes)
    table.add_row("all", f"{len(outcomes):,}", *(f"{totals[column]:,}" for column in columns))
    Console().print(table)
    typer.echo(
        "coseg sec. 4.1 and 4.2: 75,800 images by VOC's class names, none left out; 37,211 after co-segmentation"
    )
