"""`wsss data prepare coco`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsss_lightning.commands.options import Processes
from wsss_lightning.data.coco_conventions import CocoConvention, Crowd, Ids, Overlap, Untagged

if TYPE_CHECKING:
    from wsss_lightning.data.prepare.coco import PreparedCoco

_LISTS = ["train2014", "val2014"]


def prepare_coco(
    root: Annotated[
        Path, typer.Option(envvar="WSSS_COCO", help="The folder that holds annotations/instances_<list>.json.")
    ],
    lists: Annotated[list[str], typer.Option("--list", help="A list to paint; may be repeated.")] = _LISTS,
    overlap: Annotated[
        Overlap,
        typer.Option(
            help="A pixel in several objects belongs to the one of the smallest area, so that a fork on a table stays "
            "visible (priors sec. 4.1 and most label maps in use), or to the last one of the file (ReCAM)."
        ),
    ] = Overlap.SMALLEST,
    crowd: Annotated[
        Crowd,
        typer.Option(
            help="Crowd regions are ignored (255), because their outlines also hold other things and background, or "
            "dropped, which makes them background (ReCAM). They never hide a labelled object."
        ),
    ] = Crowd.IGNORE,
    ids: Annotated[
        Ids,
        typer.Option(
            help="Mask indices are contiguous, 1..80, as networks and most repositories have them, or COCO's raw "
            "category ids, 80 of 1..90 (WeakTr, PMM)."
        ),
    ] = Ids.CONTIGUOUS,
    untagged: Annotated[
        Untagged,
        typer.Option(
            help="Images without any annotation, not even a crowd's, are kept, all background, because what reads "
            "them can still leave them out; or dropped (82,081 of 82,783 training, 40,137 of 40,504 val images stay)."
        ),
    ] = Untagged.KEEP,
    names: Annotated[
        str | None,
        typer.Option(help="All classes, separated by commas, in the order of the mask indices, where not COCO's own."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse objects without an outline.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete the lists' label maps and paint anew.")
    ] = False,
    processes: Processes = 0,
) -> None:
    """Paint COCO's label maps to SegmentationClass/<list>/<image>.png, with a record of the options.

    What is there already is kept, so that a second call goes on where the first one ended; label maps painted with
    other options are never added to.
    """
    from wsss_lightning.data.coco_annotations import COCO_CLASSES, find_annotations
    from wsss_lightning.data.names import require_class_names
    from wsss_lightning.data.prepare.coco import check_convention, masks_folder, prepare_list

    classes = COCO_CLASSES if names is None else tuple(name.strip() for name in names.split(","))
    require_class_names(classes, "--names")
    convention = CocoConvention(overlap=overlap, crowd=crowd, ids=ids, untagged=untagged, names=classes)
    for name in lists:  # all faults that can be seen at once, before hours of painting
        find_annotations(root, name)
        check_convention(masks_folder(root, name), convention=convention, overwrite=overwrite)
    for name in lists:
        done = prepare_list(
            root,
            name,
            convention=convention,
            overwrite=overwrite,
            strict=strict,
            processes=processes,
        )
        _print_summary(name, done, masks_folder(root, name))


def _print_summary(name: str, done: "PreparedCoco", folder: Path) -> None:
    from wsss_lightning.data.coco_annotations import KNOWN_ANNOTATED, KNOWN_IMAGES

    images, annotated = (
        f" (known: {known[name]:,})" if name in known else "" for known in (KNOWN_IMAGES, KNOWN_ANNOTATED)
    )
    typer.echo(f"{name}: {done.images:,} images{images}, {done.annotated:,} with annotations{annotated}")
    typer.echo(f"{name}: {done.masks:,} label maps in {folder}, {done.painted:,} of them painted now")
    if done.shapeless:
        typer.echo(f"{name}: {done.shapeless}: they are background in the label maps; --strict refuses them")
