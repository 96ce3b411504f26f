"""`wsss data prepare voc`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsss_lightning.commands.options import Processes

if TYPE_CHECKING:
    from wsss_lightning.data.prepare.voc import PreparedVoc


def prepare_voc(
    root: Annotated[
        Path, typer.Option(envvar="WSSS_VOC", help="VOC2012, or the folder that holds or is to hold VOCdevkit/VOC2012.")
    ],
    sbd: Annotated[
        Path | None, typer.Option(help="SBD: benchmark_RELEASE/dataset or a folder above; default: below root.")
    ] = None,
    archive: Annotated[
        list[Path] | None,
        typer.Option(help="VOCtrainval_11-May-2012.tar, VOC2012test.tar or benchmark.tgz, to unpack; repeatable."),
    ] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch what is missing (about 2 + 1.4 GB).")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Status 1 when a count is not the known one.")] = False,
    processes: Processes = 0,
) -> None:
    """VOC 2012 with SBD: SegmentationClassAug, train_aug.txt (10,582 images), cls_labels.npy."""
    from wsss_lightning.data.prepare.voc import prepare_voc as prepare

    done = prepare(root=root, sbd=sbd, archives=archive or [], download=download, processes=processes)
    _print(done)
    if strict and not done.is_known:
        typer.echo("wsss: --strict: these are not the known VOC 2012 and SBD in full.", err=True)
        raise typer.Exit(1)


def _print(done: PreparedVoc) -> None:
    from rich.console import Console
    from rich.table import Table

    from wsss_lightning.data.prepare.voc import KNOWN

    table = Table("list", "images", "known")
    for name, count in done.counts.items():
        table.add_row(name, f"{count:,}", f"{KNOWN[name]:,}")
    Console().print(table)
    masks = ", ".join(f"{done.outcomes[outcome]:,} {outcome}" for outcome in ("written", "kept", "differs"))
    typer.echo(f"SegmentationClassAug: {masks}")
    typer.echo(f"JPEGImages: {done.copied:,} copied from SBD")
    typer.echo(f"cls_labels.npy: {done.tags}")
    if done.differing:
        typer.echo(f"masks that differ were kept, such as {done.differing[0]}: delete them to have them written anew.")
    typer.echo(f"ready: {done.root}")
