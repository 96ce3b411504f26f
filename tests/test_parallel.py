import os

import pytest

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


def test_several_processes_are_others() -> None:
    assert os.getpid() not in {process for _, process in _run(4, 2)}
