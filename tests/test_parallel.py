import ast
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np  # noqa: F401 - its library has threads
import pytest
from joblib import parallel_config
from threadpoolctl import threadpool_info

from wsss_lightning import parallel
from wsss_lightning.lifetime import end_with_parent
from wsss_lightning.parallel import in_parallel


def _square(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def _run(count: int, processes: int) -> list[tuple[int, int]]:
    return list(in_parallel(_square, range(count), processes=processes, description="squares", progress=False))


@pytest.mark.parametrize("processes", [0, 1, 2])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_every_item_is_worked_on_once_and_results_keep_their_order(count: int, processes: int) -> None:
    assert [result for result, _ in _run(count, processes)] == [number * number for number in range(count)]


def test_one_process_is_this_one_and_so_is_what_one_item_needs() -> None:
    here = os.getpid()
    assert {process for _, process in _run(3, 1)} == {process for _, process in _run(1, 8)} == {here}


def test_several_processes_are_others_where_work_outlasts_their_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "START_UP", 0.0)
    results = _run(5, 2)
    assert [number for number, _ in results] == [0, 1, 4, 9, 16]
    assert results[0][1] == os.getpid() not in {process for _, process in results[1:]}


def test_a_dozen_short_items_start_no_process() -> None:
    assert {process for _, process in _run(12, 2)} == {os.getpid()}


@pytest.mark.parametrize(
    "left, done, least, jobs, worth",
    [
        (1000, 0, float("inf"), 2, False),  # nothing is measured
        (1000, 1, 1.0, 2, False),  # a first item may have imported something
        (1000, 1, 11.0, 2, True),
        (1000, 2, 0.3, 2, True),  # saves 150 s
        (20, 2, 0.3, 2, False),  # saves 3 s, less than the start
        (20, 2, 1.1, 2, True),
        (20, 2, 0.6, 16, True),  # more processes save more
    ],
)
def test_processes_start_where_they_save_more_than_their_start_takes(
    left: int, done: int, least: float, jobs: int, worth: bool
) -> None:
    assert parallel._worth_starting(left, done, least, jobs, parallel.START_UP) is worth


def test_processes_that_are_there_need_no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "START_UP", 0.0)
    monkeypatch.setattr(parallel, "_used", float("-inf"))
    _run(5, 2)
    monkeypatch.setattr(parallel, "START_UP", 1000.0)
    assert parallel._cost() == parallel.WARM
    monkeypatch.setattr(parallel, "_used", parallel.time.perf_counter() - 300)
    assert parallel._cost() == 1000.0


def test_this_process_has_as_many_threads_as_another_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(parallel, "cpu_count", lambda: 2)
    (threads,) = in_parallel(_threads, [0], processes=1, description="threads", progress=False)
    assert set(threads) == {info["num_threads"] for info in threadpool_info()}
    for threads in in_parallel(_threads, [0, 0], processes=2, description="threads", progress=False):
        assert set(threads) == {1}


def _threads(_: int) -> list[int]:
    return [info["num_threads"] for info in threadpool_info()]


class _Slow:
    """A function that takes long to unpickle, as one does that imports torch."""

    def __call__(self, number: int) -> int:
        return number

    def __reduce__(self) -> tuple[object, ...]:
        return time.sleep, (600,)


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_no_process_outlives_a_kill_while_it_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "experiments" / "reliability"))
    from stores import members, outlived

    program = (
        "import test_parallel as t; t.parallel.START_UP = 0.0; "
        "list(t.in_parallel(t._Slow(), range(9), processes=2, description='slow', progress=False))"
    )
    job = subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parent, start_new_session=True)
    while len(members(job.pid)) < 4:  # itself, two workers and what tracks their resources
        time.sleep(0.1)
    time.sleep(5.0)
    job.kill()
    job.wait()
    assert outlived(job.pid) == 0


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_processes_of_joblib_s_own_ask_to_end_with_their_parent_first_of_all(backend: str) -> None:
    with parallel_config(backend=backend):
        pool = parallel._pool(2, return_as="generator")
    assert (pool._backend_kwargs.get("initializer") is end_with_parent) == (backend == "loky")


def test_every_loader_with_processes_has_them_end_with_their_parent() -> None:
    """By themselves they look only every five seconds whether it is still there."""
    calls = [
        node
        for path in Path(parallel.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and "num_workers" in {keyword.arg for keyword in node.keywords}
    ]
    for call in calls:
        chosen = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert chosen.get("worker_init_fn") == "begin_loading", ast.unparse(call)
    assert len(calls) >= 6
