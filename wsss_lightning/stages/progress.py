"""One progress display for loops and for Lightning's trainers."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

Item = TypeVar("Item")


def _display(enabled: bool) -> Progress:
    columns = (TextColumn("    {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    # In a log file a bar is noise: the pipeline's own lines say what started and what ended.
    return Progress(*columns, console=console, transient=True, disable=not (enabled and console.is_terminal))


def track(items: Iterable[Item], *, description: str, total: int, enabled: bool = True) -> Iterator[Item]:
    """Hand on `items` and show how far the loop is."""
    with _display(enabled) as display:
        task = display.add_task(description, total=total)
        for item in items:
            yield item
            display.advance(task)


@contextmanager
def counter(description: str, *, total: int, enabled: bool = True) -> Iterator[Callable[[int], None]]:
    """The same bar for a loop that runs elsewhere and reports how many items are finished."""
    with _display(enabled) as display:
        task = display.add_task(description, total=total)
        yield lambda finished: display.update(task, completed=finished)


class TrainingProgress(pl.Callback):
    """The same bar for `Trainer.fit`, counted in optimiser steps."""

    def __init__(self, *, description: str, enabled: bool = True) -> None:
        self.description = description
        self.enabled = enabled
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self._bar = _display(self.enabled and trainer.is_global_zero)
        self._bar.start()
        self._task = self._bar.add_task(self.description, total=trainer.max_steps, completed=trainer.global_step)

    def on_train_batch_end(self, trainer: pl.Trainer, *arguments: Any) -> None:  # noqa: ARG002
        if self._bar is not None:
            self._bar.update(self._task, completed=trainer.global_step)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:  # noqa: ARG002
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            sys.stderr.flush()
