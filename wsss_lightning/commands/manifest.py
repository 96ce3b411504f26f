"""`wsss data manifest`: one file that stands for a look at every file of a data set."""

from pathlib import Path
from typing import Annotated

import typer

from wsss_lightning.errors import InputError

_SHOWN = 20


def manifest(
    root: Annotated[Path, typer.Argument(help="The folder that holds images, lists and masks.")],
    check: Annotated[bool, typer.Option("--check", help="Only compare it with the files, contents included.")] = False,
) -> None:
    """Write wsss-manifest.tsv: name, size and, of lists, tags and masks, SHA-256 of every file.

    A plan then reads it in the place of looking at each file. Write it again when data has changed.
    """
    from wsss_lightning.pipeline.manifest import MANIFEST, differences, write_manifest

    if not check:
        count, size = write_manifest(root)
        typer.echo(f"{root / MANIFEST}: {count:,} files, {size / 1e9:.1f} GB")
    elif lines := differences(root):
        for line in lines[:_SHOWN]:
            typer.echo(line)
        files = "1 file is" if len(lines) == 1 else f"{len(lines):,} files are"
        raise InputError(f"{files} not as {root / MANIFEST} says: write it again without --check.")
    else:
        typer.echo(f"{root / MANIFEST}: all files are as it says")
