"""`wsss report`: one HTML page of all collected tables, with pictures of more images than the stages keep."""

import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsss_lightning.errors import InputError

if TYPE_CHECKING:
    from wsss_lightning.tables.results import Table

_EVALUATE = "wsss_lightning.stages.evaluate.evaluate"
_INPUTS = ("data", "masks", "extra_masks", "split", "target", "foreground")


def report(
    folder: Annotated[Path | None, typer.Argument(metavar="DIR", help="Where runs are; default: paths.root.")] = None,
    images: Annotated[int, typer.Option(min=0, help="Images to show of each table; 0: what the stages keep.")] = 24,
) -> None:
    """Write one HTML page of all collected tables: numbers, charts, supervision, images, stages and commands.

    Stages keep a few images; those on which the rows did worst are added until there are as many as `--images` says.
    They are drawn from the data set, whose ground truth is opened for it, and from the masks in the store.
    """
    from wsss_lightning.tables.collect import output_root
    from wsss_lightning.tables.report import collected, write_report

    root = folder or output_root([], [])
    tables = collected(root)
    with tempfile.TemporaryDirectory(prefix="wsss-report-") as temporary:
        further = {path: Path(temporary) / path.stem for path in tables}
        for path, table in tables.items():
            try:
                _draw_worst(table, store=root / (table.store or ""), place=further[path], count=images)
            except InputError as error:  # the data set has gone since, or its code is not trusted
                typer.echo(f"{path.stem}: no further images: {error}", err=True)
        written = write_report(root, further)
    typer.echo(f"written to {written}")


def _draw_worst(table: "Table", *, store: Path, place: Path, count: int) -> None:
    """Draw the worst images of a table below `place`, as many as its stages' own panels leave of `count`."""
    from wsss_lightning.tables.image_scores import image_scores

    results = [row.measured[0].folder for row in table.rows if row.measured]
    kept = {panel.name for result in results for panel in (store / result).glob("panels/[!.]*")}
    scores = image_scores(table, store)
    worst = [image_id for image_id in scores.worst(len(scores.images)) if image_id not in kept]
    wanted = worst[: max(count - len(kept), 0)]
    for result in results if wanted else []:
        _draw(store / result, place / result, wanted)


def _draw(folder: Path, place: Path, wanted: Collection[str]) -> None:
    """Draw what an evaluation in `folder` compared; nothing where another kind of stage ends the row."""
    from wsss_lightning.pipeline.objects import recorded_inputs
    from wsss_lightning.stages.evaluate import draw_panel, write_panel

    inputs = recorded_inputs(folder, target=_EVALUATE, names=_INPUTS)
    if inputs is None or inputs.get("target") or inputs.get("foreground"):
        return
    data = inputs["data"]
    masks = {**(inputs.get("extra_masks") or {}), "prediction": inputs["masks"]}
    records = {record.image_id: record for record in data.records(inputs.get("split", "val"))}
    for image_id in wanted:
        pictures = draw_panel(records[image_id], data, masks) if image_id in records else {}
        write_panel(place / "panels" / image_id, pictures, None)
