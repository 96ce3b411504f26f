"""Stages on several devices, and children that end with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import fake_stages
import pytest
from fake_stages import MakePlan, stage

from wsss_lightning import pipeline
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline import Plan
from wsss_lightning.pipeline.store import in_progress

linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
TWO = {"devices": 2}


@pytest.fixture(autouse=True)
def _stages_are_found_by_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(fake_stages.__file__).parent))


def test_a_stage_on_two_devices_is_a_group_of_its_own(make_plan: MakePlan) -> None:
    plan = make_plan({"only": stage("ranks", trainer=TWO)})
    assert pipeline.run(plan) == {"world": 2.0, "rank": 0.0}
    ids = {int((plan.final.folder / f"rank{rank}").read_text()) for rank in (0, 1)}
    assert len(ids) == 2 and os.getpid() not in ids
    assert {path.name for path in plan.final.folder.iterdir()} == {"rank0", "rank1", "node.json", "stage.json"}
    record = plan.final.record()
    assert record is not None and record["device"].startswith("CPU") and record["peak_memory_bytes"] > 2**20


@pytest.mark.long
def test_a_rerun_is_a_group_too(make_plan: MakePlan, tmp_path: Path) -> None:
    plan = make_plan({"only": stage("ranks", trainer=TWO)})
    pipeline.run(plan)
    assert pipeline.rerun(plan.final.folder / "stage.json", out_dir=tmp_path / "again") == {"world": 2.0, "rank": 0.0}


@pytest.mark.long
def test_what_one_process_refuses_is_said_in_its_sentence(make_plan: MakePlan) -> None:
    plan = make_plan({"only": stage("ranks", trainer=TWO, refused_by=1)})
    with pytest.raises(InputError, match=r"^Process 1 refuses: ask another\.$"):
        pipeline.run(plan)
    assert plan.final.status() == "half done"


def _start(plan: Plan) -> subprocess.Popen[bytes]:
    """Run a plan in a process that can be killed."""
    config = {"paths": {"store": str(plan.final.folder.parent)}, "stages": plan.config["stages"], "result": plan.result}
    program = f"""
from omegaconf import OmegaConf
from wsss_lightning.pipeline import run
from wsss_lightning.pipeline.planning import plan_config
run(plan_config(OmegaConf.create({config!r})))
"""
    return subprocess.Popen([sys.executable, "-c", program])


def _wait(condition: Callable[[], object], *, what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def _is_gone(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state in "ZX"


@linux
@pytest.mark.long
def test_a_killed_run_takes_its_group_along_and_frees_the_key(make_plan: MakePlan) -> None:
    plan = make_plan({"only": stage("ranks_forever", trainer=TWO)})
    files = [plan.final.folder / f"rank{rank}" for rank in (0, 1)]
    job = _start(plan)
    _wait(lambda: all(file.exists() and file.read_text() for file in files), what="the group")
    children = [int(file.read_text()) for file in files]
    assert in_progress(plan.final.folder) and plan.final.status() == "running"
    job.send_signal(signal.SIGKILL)
    job.wait()
    _wait(lambda: all(_is_gone(child) for child in children), what="the end of the group")
    _wait(lambda: not in_progress(plan.final.folder), what="the lock")
    assert plan.final.status() == "half done"


@linux
def test_a_key_stays_locked_as_long_as_a_child_lives(make_plan: MakePlan) -> None:
    plan = make_plan({"only": stage("fork_and_wait", seconds=3600)})
    file = plan.final.folder / "child"
    job = _start(plan)
    _wait(lambda: file.exists() and file.read_text(), what="the child")
    child = int(file.read_text())
    job.send_signal(signal.SIGKILL)
    job.wait()
    assert not _is_gone(child) and in_progress(plan.final.folder)
    os.kill(child, signal.SIGKILL)
    _wait(lambda: not in_progress(plan.final.folder), what="the lock")


@linux
def test_a_killed_caller_takes_its_joblib_workers_along(tmp_path: Path) -> None:
    files = [tmp_path / "0", tmp_path / "1"]
    program = f"""
from joblib import Parallel, delayed
from fake_stages import wait_as_worker
Parallel(n_jobs=2)(delayed(wait_as_worker)(str(file)) for file in {[str(file) for file in files]!r})
"""
    job = subprocess.Popen([sys.executable, "-c", program])
    _wait(lambda: all(file.exists() and file.read_text() for file in files), what="the workers")
    job.send_signal(signal.SIGKILL)
    job.wait()
    _wait(lambda: all(_is_gone(int(file.read_text())) for file in files), what="the end of the workers")


@linux
def test_a_process_that_is_nobodys_worker_outlives_its_parent(tmp_path: Path) -> None:
    """As under `nohup`, where joblib with one job calls the function in place."""
    program = f"""
import os, time
from fake_stages import wait_as_worker
if os.fork() == 0:
    wait_as_worker({str(tmp_path / "child")!r})
time.sleep(3600)
"""
    job = subprocess.Popen([sys.executable, "-c", program])
    _wait(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text(), what="the child")
    child = int((tmp_path / "child").read_text())
    job.send_signal(signal.SIGKILL)
    job.wait()
    time.sleep(0.1)
    assert not _is_gone(child)
    os.kill(child, signal.SIGKILL)


@linux
def test_a_worker_that_starts_after_its_parent_has_ended_ends() -> None:
    program = f"from wsss_lightning.lifetime import end_with_parent; end_with_parent({os.getpid() + 10**6})"
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -signal.SIGKILL
