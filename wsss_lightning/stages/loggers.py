"""What stages tell their loggers, whichever these are; no dashboard is imported here."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger

from wsss_lightning.stages.io import read_json


@contextmanager
def finished(loggers: Mapping[str, Logger]) -> Iterator[None]:
    """Close every logger's run however the stage ends, so that the next stage of the process starts its own.

    A run whose stage failed is marked as failed: without an exit code a dashboard shows it as finished.
    """
    code = 1
    try:
        yield
        code = 0
    finally:
        for logger in loggers.values():
            logger.finalize("failed" if code else "success")
            if isinstance(logger, WandbLogger):
                logger.experiment.finish(exit_code=code)


def log_stage(loggers: Mapping[str, Logger], out_dir: Path) -> None:
    """The stage's resolved node and the keys of the stages before it, as hyper-parameters."""
    path = out_dir / "node.json"
    if path.exists():  # absent where a stage is called by hand
        described = read_json(path)
        for logger in loggers.values():
            logger.log_hyperparams(described)


def log_scalars(loggers: Mapping[str, Logger], metrics: Mapping[str, float]) -> None:
    """Numbers that have no step."""
    for logger in loggers.values():
        logger.log_metrics(dict(metrics))
        logger.save()


def log_table(loggers: Mapping[str, Logger], name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table, where the dashboard has tables."""
    for logger in loggers.values():
        if isinstance(logger, WandbLogger):
            logger.log_table(name, columns=list(columns), data=[list(row) for row in rows])


def log_pictures(loggers: Mapping[str, Logger], name: str, pictures: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """(H, W, 3) uint8 pictures by caption, where the dashboard shows pictures."""
    for logger in loggers.values():
        if isinstance(logger, WandbLogger):
            logger.log_image(name, images=list(pictures.values()), caption=list(pictures))
        elif isinstance(logger, TensorBoardLogger):
            for caption, picture in pictures.items():
                logger.experiment.add_image(f"{name}/{caption}", picture, dataformats="HWC")
