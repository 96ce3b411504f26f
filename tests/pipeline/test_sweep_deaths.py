"""Sweeps whose processes are interrupted or killed: nothing is left running, and the same command goes on."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_sweeps import Sweep, wait

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux", reason="children end with their parent by the kernel's help"),
]
GROUPS = """
# @package _global_
row: 0
stages:
  only: {_target_: fake_stages.ranks_forever, revision: "${row}", unless: go, trainer: {devices: 2}}
given: {trainer: null}
result: only
"""
REFUSING = """
# @package _global_
row: 0
stages:
  only: {_target_: fake_stages.refuse, value: "${row}"}
result: only
"""
# The first row ends, the second trains until it is ended; both in two processes with gloo.
TRAINING = [
    *("method=cam", "result=classifier", "backbone.weights=null", "stages.shapes.train=16", "stages.shapes.val=2"),
    *("stages.shapes.size=64", "tuning.classifier.batch_size=8", "tuning.classifier.epochs=1,100000"),
    *("trainer.devices=2", "trainer.accelerator=cpu", "runtime.checkpoint_every=2", "runtime.progress=false"),
]


@pytest.fixture
def sweep(tmp_path: Path) -> Iterator[Sweep]:
    sweep = Sweep(tmp_path, GROUPS)
    yield sweep
    sweep.end()


def _ranks(sweep: Sweep) -> list[int]:
    return [int(text) for path in sweep.root.glob("store/only-*/rank*") if (text := path.read_text())]


def _rows(sweep: Sweep) -> list[str]:
    return sorted(path.name for path in sweep.root.glob("sweeps/*/[!.]*") if path.is_dir())


def _nothing_runs(sweep: Sweep) -> None:
    wait(lambda: not sweep.living(), what=lambda: f"the end of {sweep.living()}", seconds=30)


JOBLIB = ["method=fake", "row=1,2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]


def test_jobs_of_joblib_end_with_a_killed_sweep(sweep: Sweep) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    job = sweep.start(*JOBLIB)
    wait(lambda: len(_ranks(sweep)) == 4, what="the processes of two rows")
    assert {job.pid, *_ranks(sweep)} < sweep.living().keys()
    job.kill()
    job.wait()
    _nothing_runs(sweep)
    assert _rows(sweep) == ["0", "1"]


def test_a_killed_job_of_joblib_is_one_sentence_and_the_command_goes_on(sweep: Sweep) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    job = sweep.start(*JOBLIB)
    wait(lambda: len(_ranks(sweep)) == 4, what="the processes of two rows")
    worker = next(pid for pid, command in sweep.living().items() if "loky" in command and "tracker" not in command)
    os.kill(worker, signal.SIGKILL)
    _, told = job.communicate(timeout=120)
    assert job.returncode == 1
    assert "Traceback" not in told and "wsss: The process of a job was killed" in told and "same command again" in told
    _nothing_runs(sweep)
    (sweep.root / "store" / "go").touch()
    sweep.run(*JOBLIB)
    assert len(list(sweep.root.glob("sweeps/*/*/metrics.json"))) == 2


RAY = ["method=fake", "row=1,2", "hydra/launcher=ray", "hydra.launcher.ray.remote.num_gpus=0"]


def test_jobs_of_ray_end_with_a_killed_sweep_and_a_killed_one_starts_again(sweep: Sweep) -> None:
    pytest.importorskip("hydra_plugins.hydra_ray_launcher", reason="needs pip install 'wsss-lightning[ray_launcher]'")
    job = sweep.start(*RAY)
    wait(lambda: len(_ranks(sweep)) == 4, what="the processes of two rows", seconds=240)
    job.kill()
    job.wait()
    _nothing_runs(sweep)
    for path in sweep.root.glob("store/only-*/rank*"):
        path.unlink()
    job = sweep.start(*RAY)
    wait(lambda: len(_ranks(sweep)) == 4, what="the processes of two rows", seconds=240)
    (sweep.root / "store" / "go").touch()
    for process in [pid for pid, command in sweep.living().items() if command.startswith("ray::_run_job")]:
        os.kill(process, signal.SIGKILL)
    _, told = job.communicate(timeout=240)
    assert job.returncode == 0, told
    assert len(list(sweep.root.glob("sweeps/*/*/metrics.json"))) == 2


def test_a_row_of_ray_that_fails_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_ray_launcher", reason="needs pip install 'wsss-lightning[ray_launcher]'")
    sweep = Sweep(tmp_path, REFUSING)
    job = sweep.start("method=fake", "row=1,2,3,4", "hydra/launcher=ray")
    _, told = job.communicate(timeout=240)
    assert job.returncode == 1 and "Traceback" not in told
    assert "job 0 failed: value=1 is odd" in told and "job 2 failed: value=3 is odd" in told
    assert [path.parent.name for path in sorted(sweep.root.glob("sweeps/*/*/metrics.json"))] == ["1", "3"]
    assert [path.parent.name for path in sorted(sweep.root.glob("sweeps/*/*/failure.json"))] == ["0", "2"]
    _nothing_runs(sweep)


def test_a_sweep_that_trains_in_two_processes_has_a_folder_a_row_and_leaves_nothing_running(sweep: Sweep) -> None:
    for times, how in enumerate([signal.SIGINT, signal.SIGKILL], start=1):
        begun = time.time()
        job = sweep.start(*TRAINING, CUDA_VISIBLE_DEVICES="")
        wait(lambda number=times, since=begun: _trains_second_row(sweep, number, since), what="a training", seconds=300)
        assert len([command for command in sweep.living().values() if "pipeline.worker" in command]) == 2
        os.killpg(job.pid, how) if how == signal.SIGINT else job.kill()
        assert job.wait(timeout=60) != 0
        _nothing_runs(sweep)
        assert _rows(sweep) == sorted(["0", "1"] * times)
        assert not [*sweep.root.glob("sweeps/*/1/metrics.json")]


def _trains_second_row(sweep: Sweep, number: int, since: float) -> bool:
    first_rows = [*sweep.root.glob("sweeps/*/0/metrics.json")]
    return len(first_rows) == number and any(
        path.stat().st_mtime > since for path in sweep.root.glob("store/classifier-*/last.ckpt")
    )
