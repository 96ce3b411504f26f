"""`wsss data prepare folder`."""

from pathlib import Path
from typing import Annotated

import typer

from wsss_lightning.commands.options import Processes
from wsss_lightning.errors import InputError

Tags = Annotated[str, typer.Option(help="The annotation file in COCO's form, in the folder.")]
Names = Annotated[
    str | None, typer.Option(help="All classes, separated by commas, in the order of the mask indices; as data.names.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Refuse objects without an outline.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Delete the masks that are there and paint anew.")]


def prepare_folder(
    root: Annotated[Path, typer.Option(envvar="WSSS_FOLDER", help="The folder that holds images and annotations.")],
    tags: Tags,
    names: Names = None,
    strict: Strict = False,
    overwrite: Overwrite = False,
    processes: Processes = 0,
) -> None:
    """Paint masks/<image>.png from the outlines of annotations in COCO's form, for evaluation alone.

    Indices are 1, 2, ... of the classes as data=folder orders them. A pixel in several objects belongs to the smallest,
    crowds are ignored (255).
    """
    from wsss_lightning.data.coco_conventions import CocoConvention
    from wsss_lightning.data.folder_tags import annotated_classes
    from wsss_lightning.data.prepare.coco import paint_annotations

    if not tags.lower().endswith(".json"):
        raise InputError(
            f"--tags {tags}: masks are painted from annotations in COCO's form, give such a .json; a CSV of tags or a "
            "folder for each class needs no preparation."
        )
    given = None if names is None else [name.strip() for name in names.split(",")]
    classes, unused = annotated_classes(root / tags, names=given)
    done = paint_annotations(
        root / tags,
        root / "masks",
        convention=CocoConvention(names=classes),
        unused=unused,
        overwrite=overwrite,
        strict=strict,
        processes=processes,
    )
    typer.echo(
        f"{done.masks:,} masks of {', '.join(classes)} in {root / 'masks'}, {done.painted:,} of them painted now"
    )
    if done.shapeless:
        typer.echo(f"{done.shapeless}: they are background in the masks; --strict refuses them")
