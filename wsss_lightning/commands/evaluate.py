"""`wsss evaluate`: a folder of predictions against ground truth, whoever made them."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from wsss_lightning.commands.options import Name, Overrides, Processes, Root


class SplitChoice(StrEnum):
    """The splits that have masks."""

    TRAIN = "train"
    VAL = "val"


def evaluate(
    predictions: Annotated[Path, typer.Argument(help="A folder of index PNGs or .npy CAM dictionaries, or a stage's.")],
    name: Name,
    overrides: Overrides = None,
    root: Root = None,
    split: Annotated[SplitChoice, typer.Option(help="Whose masks to compare with.")] = SplitChoice.VAL,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Of the background of CAMs; default: the best of 0 to 0.59.")
    ] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Score what is there where some are missing.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures to this file.")] = None,
    plots: Annotated[Path | None, typer.Option(help="Write pictures into this folder.")] = None,
    processes: Processes = 0,
) -> None:
    """Score predictions, whoever made them: IoU, accuracies, trimap, confusion matrix."""
    from wsss_lightning.pipeline.objects import open_data

    data = open_data(name, root=root, overrides=overrides or [])

    from rich.console import Console

    from wsss_lightning.scoring.evaluation import write_evaluation
    from wsss_lightning.scoring.folder import score_folder  # torch: a wrong name need not wait for it
    from wsss_lightning.scoring.text import print_evaluation

    evaluation = score_folder(
        folder=_of_stage(predictions),
        data=data,
        split=split.value,
        threshold=threshold,
        partial_ok=partial,
        processes=processes,
    )
    print_evaluation(evaluation, Console())
    if json_file is not None:
        typer.echo(f"written to {write_evaluation(json_file, evaluation)}")
    if plots is not None:
        from wsss_lightning.scoring.plots import write_plots

        for path in write_plots(evaluation, plots):
            typer.echo(f"written to {path}")


def _of_stage(folder: Path) -> Path:
    """Where a stage of the pipeline, or an import, keeps its predictions; any other folder as it is."""
    if not any((folder / name).exists() for name in ("stage.json", "import.json")):
        return folder
    return next((folder / name for name in ("masks", "cams") if (folder / name).is_dir()), folder)
