"""`wsss submit`: pack predictions for VOC's test server, or check a packed archive."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsss_lightning.commands.options import Processes, Root

if TYPE_CHECKING:
    from wsss_lightning.scoring.submission import Fault, Submission

_FIRST = 3  # files of a fault that are named


class Comp(StrEnum):
    """VOC's competitions of segmentation."""

    COMP5 = "comp5"
    COMP6 = "comp6"


def submit(
    predictions: Annotated[Path | None, typer.Argument(help="A folder of index PNGs of the test images.")] = None,
    out: Annotated[Path | None, typer.Argument(metavar="OUT.tgz", help="The archive to write.")] = None,
    checked: Annotated[Path | None, typer.Option("--check", help="Check this archive; write none.")] = None,
    list_file: Annotated[Path | None, typer.Option("--list", help="Ids of the test images; default: --split.")] = None,
    root: Root = None,
    split: Annotated[str, typer.Option(help="Name of the list in the data set's ImageSets.")] = "test",
    comp: Annotated[Comp, typer.Option(help="comp5: trained on VOC alone; comp6: also on others.")] = Comp.COMP6,
    processes: Processes = 0,
) -> None:
    """Pack predictions for VOC's test server, checked before and after; or check what is packed."""
    if (checked is None) == (out is None) or (checked is not None and predictions is not None):
        raise typer.BadParameter("give PREDICTIONS and OUT.tgz, or --check OUT.tgz alone")
    submission = _submission(list_file, root, split, comp)
    if predictions is not None and out is not None:
        _pack(predictions, out, submission, processes)
    elif checked is not None:
        _check(checked, submission, processes)
    _print_limits(submission)


def _submission(list_file: Path | None, root: Path | None, split: str, comp: Comp) -> "Submission":
    from wsss_lightning.data.lists import find_list, read_list
    from wsss_lightning.pipeline.objects import open_data
    from wsss_lightning.scoring.submission import Submission

    if list_file is not None and root is None:
        return Submission(tuple(read_list(list_file)), None, comp.value)
    voc = open_data("voc", root=root, overrides=[]).root
    return Submission(tuple(read_list(list_file or find_list(voc, split))), voc / "JPEGImages", comp.value)


def _pack(folder: Path, out: Path, submission: "Submission", processes: int) -> None:
    from wsss_lightning.scoring import notes
    from wsss_lightning.scoring.predictions import find_predictions
    from wsss_lightning.scoring.submission import pack_submission

    predictions = find_predictions(folder, submission.ids)
    for note in notes.unused(predictions):
        typer.echo(note)
    _refuse(pack_submission(predictions, out, submission, processes=processes), f"{out} is not written")
    typer.echo(f"written to {out}: {len(submission.ids):,} PNGs in {submission.folder}, read again and in order")


def _check(archive: Path, submission: "Submission", processes: int) -> None:
    from wsss_lightning.scoring.submission import check_submission

    _refuse(check_submission(archive, submission, processes=processes), f"{archive} will be refused")
    typer.echo(f"{archive}: {len(submission.ids):,} PNGs in {submission.folder}, in order")


def _refuse(faults: "list[Fault]", consequence: str) -> None:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    from wsss_lightning.errors import InputError

    if not faults:
        return
    files: dict[str, list[str]] = {}
    for fault in faults:
        files.setdefault(fault.reason, []).append(fault.file)
    table = Table("fault", "files", Column("the first", overflow="fold"))
    for reason, names in files.items():
        table.add_row(Text(reason), f"{len(names):,}", Text("\n".join(names[:_FIRST])))
    Console().print(table)
    raise InputError(f"{consequence}, {len(faults):,} files are at fault: put right what the table lists.")


def _print_limits(submission: "Submission") -> None:
    """What could not be checked, and what looks wrong in the list itself."""
    from wsss_lightning.data.voc import VOC_COUNTS

    unknown = sum(submission.photograph(image_id) is None for image_id in submission.ids)
    if unknown:
        typer.echo(f"The sizes of {unknown:,} are not checked: their photographs are not at hand (--root).")
    if len(submission.ids) != VOC_COUNTS["test"]:
        typer.echo(f"The list has {len(submission.ids):,} images, VOC 2012's test list {VOC_COUNTS['test']:,}.")
