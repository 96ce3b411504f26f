"""One progress display for everything that takes longer than a moment."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Item = TypeVar("Item")


class _Bar(Progress):
    def stop(self) -> None:
        """End the line, where there is one: rich before 14.3 writes an empty one for a bar that is never shown."""
        if not self.disable:
            super().stop()


def display(enabled: bool) -> Progress:
    """The bar of this project, on standard error; nothing where that is no terminal."""
    columns = (TextColumn("    {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    # In a log file a bar is noise: the pipeline's own lines say what started and what ended.
    return _Bar(*columns, console=console, transient=True, disable=not (enabled and console.is_terminal))


def track(items: Iterable[Item], *, description: str, total: int, enabled: bool = True) -> Iterator[Item]:
    """Hand on `items` and show how far the loop is."""
    with display(enabled) as bar:
        task = bar.add_task(description, total=total)
        for item in items:
            yield item
            bar.advance(task)


@contextmanager
def counter(description: str, *, total: int, enabled: bool = True) -> Iterator[Callable[[int], None]]:
    """The same bar for a loop that runs elsewhere and reports how many items are finished."""
    with display(enabled) as bar:
        task = bar.add_task(description, total=total)
        yield lambda finished: bar.update(task, completed=finished)
