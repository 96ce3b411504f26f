"""One progress display for everything that takes longer than a moment: a bar, or in a log file a line a minute."""

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TaskID, TextColumn, TimeRemainingColumn

Item = TypeVar("Item")

log = logging.getLogger(__name__)
_LINE_EVERY = 60.0  # seconds


class ProgressBar(Progress):
    """The bar of this project, on standard error; a line a minute in the log where that is no terminal.

    Nothing is told before `start`, nor without `enabled`.
    """

    def __init__(self, console: Console, *, enabled: bool) -> None:
        columns = (TextColumn("    {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.shown = enabled and console.is_terminal
        period = 30.0 if self.shown else 5 * _LINE_EVERY  # of which the time that is left is an estimate
        super().__init__(
            *columns, console=console, transient=True, disable=not self.shown, speed_estimate_period=period
        )
        self._lines = enabled and not self.shown
        self._next_line = math.inf

    def start(self) -> None:
        """Show the bar, or begin to wait for the first line."""
        if self._lines:
            self._next_line = time.monotonic() + _LINE_EVERY
        super().start()

    def due(self) -> bool:
        """Whether `report` would write a line."""
        return time.monotonic() >= self._next_line

    def report(self, number: TaskID, completed: float) -> None:
        """Say how far a task is."""
        self.update(number, completed=completed)
        if self.due():
            self._next_line = time.monotonic() + _LINE_EVERY
            log.info("    %s", _line(next(task for task in self.tasks if task.id == number)))

    def stop(self) -> None:
        """End the line, where there is one: rich before 14.3 writes an empty one for a bar that is never shown."""
        if not self.disable:
            super().stop()


def _line(task: Task) -> str:
    left = "" if task.time_remaining is None else f", {timedelta(seconds=round(task.time_remaining))} left"
    return f"{task.description}: {task.completed:,.0f} of {task.total:,.0f}{left}"


def display(enabled: bool) -> ProgressBar:
    """A bar on standard error, or its lines."""
    return ProgressBar(Console(stderr=True), enabled=enabled)


def track(items: Iterable[Item], *, description: str, total: int, enabled: bool = True) -> Iterator[Item]:
    """Hand on `items` and show how far the loop is."""
    with display(enabled) as bar:
        task = bar.add_task(description, total=total)
        for number, item in enumerate(items, start=1):
            yield item
            bar.report(task, number)


@contextmanager
def counter(description: str, *, total: int, enabled: bool = True) -> Iterator[Callable[[int], None]]:
    """The same bar for a loop that runs elsewhere and reports how many items are finished."""
    with display(enabled) as bar:
        task = bar.add_task(description, total=total)
        yield lambda finished: bar.report(task, finished)
