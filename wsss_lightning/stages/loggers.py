"""What stages tell their loggers; tables and pictures lie in their folders, where dashboards find them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pytorch_lightning.loggers import Logger, WandbLogger

from wsss_lightning.stages.io import read_json


@contextmanager
def closing_loggers(loggers: Mapping[str, Logger]) -> Iterator[None]:
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
