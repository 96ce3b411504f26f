"""`wsss data prepare imagenet`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsss_lightning.commands.options import Processes

if TYPE_CHECKING:
    from wsss_lightning.data.prepare.imagenet import PreparedImagenet


def prepare_imagenet(
    root: Annotated[
        Path,
        typer.Option(
            envvar="WSSS_IMAGENET", help="The folder with the class folders or archives n########, or with train above."
        ),
    ],
    is_a: Annotated[
        Path | None, typer.Option(help="ImageNet's tree, with words.txt beside it; default: wordnet.is_a.txt in root.")
    ] = None,
    held_out: Annotated[
        float, typer.Option(min=0, max=0.5, help="Share of the images that are not trained on.")
    ] = 0.02,  # of 1.4 million images 28,000, of them 750 cats
    processes: Processes = 0,
) -> None:
    """ImageNet's cats, dogs and background: train.csv and held_out.csv of the images that decode."""
    from wsss_lightning.data.prepare.imagenet import prepare_imagenet as prepare

    done = prepare(root, is_a=is_a, held_out=held_out, processes=processes)
    _print(done)
    typer.echo(f"files left out: {len(done.left_out):,}; {root / 'left_out.csv'} has them with the reasons")
    for name, count in done.lists.items():
        typer.echo(f"{root / name}.csv: {count:,} images")


def _print(done: PreparedImagenet) -> None:
    from rich.console import Console
    from rich.table import Table

    from wsss_lightning.data.prepare.imagenet import BACKGROUND_IMAGES, SUBTREES

    table = Table("class", "sub-classes", "paper", "images", "paper")
    for tree in SUBTREES:
        count = done.counts[tree.name]
        table.add_row(tree.name, *(f"{n:,}" for n in (count.sub_classes, tree.sub_classes, count.images, tree.images)))
    background = done.counts["background"]
    table.add_row(
        "background", f"{background.sub_classes:,}", "", f"{background.images:,}", f"about {BACKGROUND_IMAGES:,}"
    )
    Console().print(table)
    if done.incomplete:
        names = " and ".join(done.incomplete)
        typer.echo(f"Only a part of the sub-classes of {names} is here, as in ILSVRC 2012: the paper has all of them.")
