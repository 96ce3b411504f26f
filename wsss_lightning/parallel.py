"""Work on many files at once, in processes that end with their parent."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from joblib import Parallel, cpu_count, delayed, effective_n_jobs
from joblib._parallel_backends import LokyBackend
from joblib.parallel import get_active_backend
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from wsss_lightning.backends import connected, killed
from wsss_lightning.errors import InputError
from wsss_lightning.lifetime import end_with_parent
from wsss_lightning.opened import Opened, note, recorded
from wsss_lightning.progress import track

Item = TypeVar("Item")
Returned = TypeVar("Returned")

# Seconds until processes work: they import what the function needs (experiments/speed/results/crf_cores.md).
START_UP = 5.0
_AT_ONCE = 16  # items of each process
WARM = 0.5  # seconds for those that worked a moment ago and are still there
_IDLE = 250.0  # seconds that joblib's processes wait for more work, 300, less a margin
_used = float("-inf")  # when they last worked


def in_parallel(
    function: Callable[[Item], Returned],
    items: Sequence[Item],
    *,
    processes: int,
    description: str,
    progress: bool = True,
) -> Iterator[Returned]:
    """`function(item)` of every item, in their order; a progress bar shows how many are done.

    `function` must be picklable: a module's function or a `functools.partial` of one. Where it runs is the caller's
    choice by `backends.working_on`. `processes`: how many work at once; 0 for as many as there are cores, here or in
    a cluster. Work is done in this process, to the same bits, as long as starting others would take longer than they
    save, by the time that its first items take.

    Raises:
        InputError: a process was killed.
    """
    results = _run(function, items, processes)
    try:
        for result, opened in track(results, description=description, total=len(items), enabled=progress):
            note(opened)
            yield result
    except Exception as error:
        if not killed(error):
            raise
        raise InputError(
            f"{description}: a worker process was killed, most likely out of memory: run it again, it goes on where it "
            "stopped, with fewer processes (runtime.processes=1 or WSSS_PROCESSES=1)."
        ) from error


def _run(
    function: Callable[[Item], Returned], items: Sequence[Item], processes: int
) -> Iterator[tuple[Returned, Opened]]:
    jobs = max(1, min(processes or cpu_count(), len(items)))  # type: ignore[no-untyped-call]
    done, least = 0, float("inf")
    while done < len(items) and (jobs == 1 or not _worth_starting(len(items) - done, done, least, jobs, _cost())):
        start = time.perf_counter()
        with _threads(jobs):
            result = _call(function, items[done])
        least = min(least, time.perf_counter() - start)
        done += 1
        yield result
    if done < len(items):
        yield from _elsewhere(function, items[done:], processes)


def _elsewhere(
    function: Callable[[Item], Returned], items: Sequence[Item], processes: int
) -> Iterator[tuple[Returned, Opened]]:
    job = delayed(_call)  # type: ignore[no-untyped-call]
    global _used
    with connected() as streams:
        jobs = min(processes or effective_n_jobs(-1), len(items))  # type: ignore[no-untyped-call]
        # What cannot hand on results one by one gets some items at a time, so that a bar moves.
        size = len(items) if streams else _AT_ONCE * jobs
        with _pool(jobs, return_as="generator" if streams else "list") as pool:
            for start in range(0, len(items), size):
                yield from pool(job(function, item) for item in items[start : start + size])
    _used = time.perf_counter()


def _pool(jobs: int, *, return_as: str) -> Parallel:
    """What works in so many processes; joblib's own ones end with this one even while they still import."""
    if isinstance(get_active_backend()[0], LokyBackend):  # type: ignore[no-untyped-call]
        return Parallel(n_jobs=jobs, return_as=return_as, initializer=end_with_parent)  # type: ignore[no-untyped-call]
    return Parallel(n_jobs=jobs, return_as=return_as)  # type: ignore[no-untyped-call]


def _worth_starting(left: int, done: int, least: float, jobs: int, cost: float) -> bool:
    """Whether processes save more than `cost` seconds, where the fastest of `done` items took `least` seconds.

    A first item may be slow because of what is imported or read for all, unless it takes longer than that can.
    """
    measured = done > 1 or (done == 1 and least > START_UP)
    return measured and left * least * (1 - 1 / jobs) > cost


def _cost() -> float:
    return min(WARM, START_UP) if time.perf_counter() - _used < _IDLE else START_UP


def _threads(jobs: int) -> AbstractContextManager[object]:
    """As many threads as joblib gives to each of several processes, since sums depend on it."""
    if jobs == 1 or "OMP_NUM_THREADS" in os.environ:
        return nullcontext()
    limits: AbstractContextManager[object] = threadpool_limits(max(1, cpu_count() // jobs))  # type: ignore[no-untyped-call]
    return limits


def _call(function: Callable[[Item], Returned], item: Item) -> tuple[Returned, Opened]:
    end_with_parent()
    with recorded() as opened:
        return function(item), opened
