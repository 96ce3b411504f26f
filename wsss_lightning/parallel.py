"""Work on many files at once, in processes that end with their parent."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from joblib import Parallel, cpu_count, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError

from wsss_lightning.errors import InputError
from wsss_lightning.lifetime import end_with_parent
from wsss_lightning.opened import Opened, note, recorded
from wsss_lightning.progress import track

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    processes: int,
    description: str,
    progress: bool = True,
) -> Iterator[Result]:
    """`function(item)` of every item, in their order; a progress bar shows how many are done.

    `function` must be picklable: a module's function or a `functools.partial` of one. joblib's backend (`loky`, or
    `ray` and `dask` where they are registered) is the caller's choice by `joblib.parallel_config`. `processes`: how
    many work at once; 0 for as many as there are cores.

    Raises:
        InputError: a process was killed.
    """
    jobs = max(1, min(processes or cpu_count(), len(items)))  # type: ignore[no-untyped-call]
    job = delayed(_call)  # type: ignore[no-untyped-call]
    parallel = Parallel(n_jobs=jobs, return_as="generator")  # type: ignore[no-untyped-call]
    results = parallel(job(function, item) for item in items)
    try:
        for result, opened in track(results, description=description, total=len(items), enabled=progress):
            note(opened)
            yield result
    except TerminatedWorkerError as error:
        raise InputError(
            f"{description}: a worker process was killed, most likely out of memory: run it again, it goes on where it "
            "stopped, with fewer processes (runtime.processes=1 or WSSS_PROCESSES=1)."
        ) from error


def _call(function: Callable[[Item], Result], item: Item) -> tuple[Result, Opened]:
    end_with_parent()
    with recorded() as opened:
        return function(item), opened
