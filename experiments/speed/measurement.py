"""Times beside the machine's own limits in the same run, and peak memory: what benchmark programs share."""

import datetime
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import cv2
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from wsss_lightning.pipeline.store import provenance

Row = dict[str, Any]
Clock = Callable[[], float]
_MATMUL, _COPIED = 1024, 1 << 26  # side of the square matrices; bytes copied, well above a processor's caches


@dataclass(frozen=True)
class Task:
    """Something to time.

    `seconds`: runs it and returns the seconds of one repetition; `operations`: floating-point operations of one
    repetition, `traffic`: bytes that it must read or write at least (inputs, parameters and results, once each);
    `memory`: bytes alive at its peak, its inputs included.
    """

    seconds: Callable[[], float]
    operations: float = 0
    traffic: float = 0
    memory: int | None = None


def timed(
    function: Callable[[], object], *, times: int = 1, device: str = "cpu", clock: Clock = time.perf_counter
) -> Callable[[], float]:
    """Seconds of one of `times` calls in a row; `clock`: `processor_of` is not slowed by other programs."""

    def seconds() -> float:
        _wait(device)
        start = clock()
        for _ in range(times):
            function()
        _wait(device)
        return (clock() - start) / times

    return seconds


def processor_of(device: str) -> Clock:
    """The clock for what computes in this process and thread alone: the processor's own, on a GPU the wall's."""
    return time.process_time if device == "cpu" else time.perf_counter


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def measure(
    tasks: Mapping[str, Task], *, rounds: int, device: str = "cpu", clock: Clock = time.perf_counter
) -> tuple[dict[str, Row], Row]:
    """Rows by task, and the machine's limits, by `clock`, which should be that of the tasks.

    In every round each task has its turn and so have the limits, so that a busy machine slows all of them; the first
    round only warms up.
    """
    limits = _limits(device, clock)
    turns = [{name: task.seconds() for name, task in {**limits, **tasks}.items()} for _ in range(rounds + 1)][1:]
    bandwidth = max(task.traffic / statistics.median(turn[name] for turn in turns) for name, task in limits.items())
    rate = max(task.operations / statistics.median(turn[name] for turn in turns) for name, task in limits.items())
    rows = {name: _row(task, [turn[name] for turn in turns], bandwidth, rate) for name, task in tasks.items()}
    return rows, {"gb_s": bandwidth / 1e9, "gflop_s": rate / 1e9}


def _limits(device: str, clock: Clock) -> dict[str, Task]:
    """What this machine reaches on large arrays: a copy, an addition in place, a product of square matrices."""
    matrix, out = torch.ones(2, _MATMUL, _MATMUL, device=device)
    array, other = torch.ones(2, _COPIED // 4, device=device)
    return {
        "copy": Task(timed(lambda: other.copy_(array), device=device, clock=clock), traffic=2 * _COPIED),
        "in place": Task(timed(lambda: array.add_(1), device=device, clock=clock), traffic=2 * _COPIED),
        "product": Task(
            timed(lambda: torch.mm(matrix, matrix, out=out), device=device, clock=clock), operations=2 * _MATMUL**3
        ),
    }


def _row(task: Task, times: list[float], bandwidth: float, rate: float) -> Row:
    floors = {"memory": task.traffic / bandwidth, "arithmetic": task.operations / rate}
    bound = max(floors, key=lambda name: floors[name])
    median, floor = statistics.median(times), floors[bound]
    return {
        "median_s": median,
        "fastest_s": min(times),
        "slowest_s": max(times),
        "rounds": len(times),
        "operations": task.operations,
        "traffic_bytes": task.traffic,
        "floor_s": floor,
        "bound": bound,
        "times_floor": median / floor,
        "peak_bytes": task.memory,
    }


def spread(row: Row, images: int) -> str:
    """A cell of a Markdown table: seconds an image of the fastest and the slowest round, of a row of `measure`."""
    return f"{row['fastest_s'] / images:.4f} - {row['slowest_s'] / images:.4f}"


def single_core() -> None:
    """Keep OpenCV and torch to one thread; numpy's libraries follow OMP_NUM_THREADS=1."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def clocks(tasks: Mapping[str, Callable[[], object]], *, rounds: int, warm: bool = False) -> dict[str, Row]:
    """Seconds of each task by clock and by processor: a busy machine slows the first.

    In every round each task has its turn; one more round before them only warms up, unless all are `warm`.
    """
    turns = [{name: _clocks(task) for name, task in tasks.items()} for _ in range(rounds + (not warm))][not warm :]
    return {name: _clock_row([turn[name] for turn in turns]) for name in tasks}


def _clocks(task: Callable[[], object]) -> tuple[float, float]:
    wall, processor = time.perf_counter(), time.process_time()
    task()
    return time.perf_counter() - wall, time.process_time() - processor


def _clock_row(turns: Sequence[tuple[float, float]]) -> Row:
    wall, processor = zip(*turns, strict=True)
    return {
        "wall_s": statistics.median(wall),
        "processor_s": statistics.median(processor),
        "processor_least_s": min(processor),
        "processor_most_s": max(processor),
    }


def shown_seconds(row: Row) -> str:
    """Three cells of a Markdown table: a row of `clocks`."""
    spread = f"{row['processor_least_s']:.2f} - {row['processor_most_s']:.2f}"
    return f"{row['processor_s']:.2f} | {spread} | {row['wall_s']:.2f}"


def operations(function: Callable[[], object]) -> int:
    """Floating-point operations of the convolutions and matrix products of a call."""
    with FlopCounterMode(display=False) as counter:
        function()
    return int(counter.get_total_flops())


def peak_bytes(function: Callable[[], object]) -> int:
    """Most bytes alive at a time of those a call takes from torch's allocator, temporaries of kernels included.

    Exact and repeatable, unlike a resident size, which counts code that is loaded and pages that malloc keeps; where
    malloc keeps none (glibc's MALLOC_MMAP_THRESHOLD_=65536) the growth of a warm process's resident size is the same.
    """
    if torch.cuda.is_available():
        before = _reset_peak()
        function()
        if taken := torch.cuda.max_memory_allocated() - before:
            return taken  # it ran there
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        function()
    assert seen.profiler is not None and seen.profiler.kineto_results is not None
    events = [event for event in seen.profiler.kineto_results.events() if event.name() == "[memory]"]
    return max(accumulate(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())), default=0)


def _reset_peak() -> int:
    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_allocated()


def machine(command: str) -> Row:
    """What a reader needs to judge a result, without names or paths of the machine."""
    cuda = torch.cuda.is_available()
    return provenance() | {
        "command": command,
        "date": datetime.date.today().isoformat(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "load_average_1_5_15_min": [round(load, 2) for load in os.getloadavg()],
        "device": torch.cuda.get_device_name() if cuda else None,
        "torch": torch.__version__,
    }


def on_one_core(at: Row) -> str:
    """The sentence with which a page begins: a row of `machine`."""
    return (
        f"`{at['command']}`, {at['date']}, commit {at['commit']}, {at['processor']}, one core of {at['cores']}, load "
        f"average {at['load_average_1_5_15_min']}."
    )


def on_device(at: Row) -> str:
    """As `on_one_core`, of a program that measures on the GPU where there is one."""
    return (
        f"`{at['command']}`, {at['date']}, commit {at['commit']}, torch {at['torch']}, GPU: {at['device'] or 'none'}, "
        f"{at['processor']}, {at['cores']} cores, threads: {at['threads']}, load average "
        f"{at['load_average_1_5_15_min']}."
    )


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
