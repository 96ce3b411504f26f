"""Per-image work on another backend: the same results, each item once; what is not there is refused when planning."""

from __future__ import annotations

import importlib.util
import os
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_stages import MakePlan, square_into, stage

from wsss_lightning import backends, parallel, pipeline
from wsss_lightning.backends import check_backend, working_on
from wsss_lightning.errors import InputError
from wsss_lightning.opened import recorded
from wsss_lightning.parallel import in_parallel


def test_what_is_not_there_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    check_backend("loky")
    with pytest.raises(InputError, match=r"^runtime\.backend=spark: there is no such backend; take one of loky"):
        check_backend("spark")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"ray is not installed; pip install 'wsss-lightning\[ray\]', or take loky"):
        check_backend("ray")


def test_a_plan_refuses_a_backend_and_a_run_takes_it(make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"runtime\.backend=spark"):
        make_plan({"only": stage("backend")}, runtime={"backend": "spark"})
    monkeypatch.setitem(backends._EXTRAS, "dask", ())  # whether it is installed or not
    plans = [make_plan({"only": stage("backend")}, runtime={"backend": name}) for name in ("loky", "dask")]
    assert plans[0].final.key == plans[1].final.key, "no bit of a result depends on it"
    pipeline.run(plans[1])
    assert (plans[1].final.folder / "backend").read_text() == "dask"
    assert backends._current.get() == "loky"


@pytest.mark.parametrize("named", ["head:6379", None])
def test_ray_is_the_cluster_that_is_named_or_one_of_this_machine(
    named: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(address: str, **_: object) -> None:
        raise ConnectionError(f"no cluster at {address}")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if named:
        monkeypatch.setenv("RAY_ADDRESS", named)
    fake = SimpleNamespace(is_initialized=lambda: False, init=refuse, register_ray=None)
    for module in ("ray", "ray.util", "ray.util.joblib"):
        monkeypatch.setitem(sys.modules, module, fake)
    with pytest.raises(InputError, match=f"^runtime.backend=ray: no cluster at {named or 'local'}: see that"):
        backends._ray()


@pytest.mark.long
@pytest.mark.parametrize("name", ["ray", "dask"])
@pytest.mark.parametrize("processes", [0, 2])
def test_a_cluster_of_this_machine_works_on_every_item_once(
    name: str, processes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip({"ray": "ray", "dask": "distributed"}[name])
    monkeypatch.setattr(parallel, "START_UP", 0.0)
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parents[1]}:{os.environ.get('PYTHONPATH', '')}")
    work, count = partial(square_into, folder=tmp_path), 101
    with working_on(name), recorded() as opened:
        done = list(in_parallel(work, range(count), processes=processes, description="squares", progress=False))
        with pytest.raises(InputError, match="-1 is negative"):
            list(in_parallel(work, [200, 201, -1], processes=processes, description="squares", progress=False))
    assert [square for square, _ in done] == [number * number for number in range(count)]
    assert {process for _, process in done[1:]}.isdisjoint({os.getpid()})
    assert all((tmp_path / str(number)).read_text() == "." for number in range(count))
    assert opened.masks >= {str(tmp_path / str(number)) for number in range(count)}, "records hold what workers open"
