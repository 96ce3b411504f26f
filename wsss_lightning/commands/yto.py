"""`wsss data prepare yto`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsss_lightning.commands.options import Processes
from wsss_lightning.errors import InputError

if TYPE_CHECKING:
    from wsss_lightning.data.prepare.yto import PreparedYto


def prepare_yto(
    root: Annotated[
        Path, typer.Option(envvar="WSSS_YTO", help="The folder with the classes and Jain & Grauman's youtube_masks.")
    ],
    frames_per_class: Annotated[int, typer.Option(min=1, help="Train frames of each class, taken uniformly.")] = 2200,
    size: Annotated[str, typer.Option(help="Of all frames and masks: 854x480, 480x360, or keep.")] = "keep",
    processes: Processes = 0,
) -> None:
    """YouTube-Objects: choose frames (out of folders or video files), write masks and manifest.csv."""
    from wsss_lightning.data.prepare.yto import prepare_yto as prepare

    wanted = _size(size)
    summary = prepare(root, frames_per_class=frames_per_class, size=wanted, processes=processes)
    _print(summary)
    typer.echo(f"written to {root / 'manifest.csv'}")


def _size(text: str) -> tuple[int, int] | None:
    """(H, W) of WIDTHxHEIGHT; None for "keep"."""
    if text == "keep":
        return None
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if match is None:
        raise InputError(f"--size {text} is no size: give WIDTHxHEIGHT, for example 854x480, or keep.")
    return int(match[2]), int(match[1])


def _print(summary: PreparedYto) -> None:
    from rich.console import Console
    from rich.table import Table

    from wsss_lightning.data.prepare.yto import FRAMES_PER_CLASS

    table = Table("class", f"train (paper: about {FRAMES_PER_CLASS:,})", "val", "left out: evaluated shot")
    counts = (summary.train, summary.val, summary.left_out)
    for name in summary.left_out:
        table.add_row(name, *(f"{count.get(name, 0):,}" for count in counts))
    table.add_row("all", *(f"{sum(count.values()):,}" for count in counts))
    Console().print(table)
    if summary.stretched:
        typer.echo(f"{summary.stretched} frames or masks had another aspect ratio and were stretched: look at a few.")
    if summary.lost:
        typer.echo(f"{len(summary.lost)} frames are missing because their video ends early, such as {summary.lost[0]}.")
