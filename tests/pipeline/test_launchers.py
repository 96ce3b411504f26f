"""Sweeps through launchers: a device for each job, code as it was at submission, going on after preemption."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from fake_sweeps import CODE, Sweep
from omegaconf import DictConfig, OmegaConf

from wsss_lightning import pipeline
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline import accelerators, submission
from wsss_lightning.pipeline.accelerators import (
    ALL,
    WORKERS,
    gpus_of_job,
    jobs_at_once,
    loading_workers,
    own,
    shared_devices,
)
from wsss_lightning.pipeline.submission import check_launcher, copied, end_with_sweep, launcher, launching


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return Sweep(tmp_path)


def test_jobs_side_by_side_have_a_device_each(sweep: Sweep) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    log = sweep.run(
        "method=fake", "row=0,1", "at_once=2", "hydra/launcher=joblib", CUDA_VISIBLE_DEVICES="wsss-a,wsss-b"
    )
    assert sweep.devices() == ["wsss-a", "wsss-b"]
    assert "on device wsss-a" in log and "Warning" not in log


@pytest.mark.long
def test_jobs_as_processes_wait_for_a_free_device(sweep: Sweep) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    sweep.run("method=fake", "row=0,1,2", "hydra/launcher=submitit_local", CUDA_VISIBLE_DEVICES="wsss-c,wsss-d")
    assert len(sweep.devices()) == 3 and {*sweep.devices()} <= {"wsss-c", "wsss-d"}
    assert len(list((sweep.root / "sweeps").glob("*/*/metrics.json"))) == 3


def test_devices_are_held_by_one_process_and_kept_for_its_next_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ALL, raising=False)
    monkeypatch.setattr(accelerators, "_taken", [])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "wsss-0,wsss-1,wsss-2")
    assert jobs_at_once(1) == 3 and jobs_at_once(2) == 1 and jobs_at_once([0, 1, 2]) == 1 and jobs_at_once(9) == 1
    with own(2) as first:
        assert first == ["wsss-0", "wsss-1"] and os.environ["CUDA_VISIBLE_DEVICES"] == "wsss-0,wsss-1"
        assert shared_devices() == ["wsss-0", "wsss-1", "wsss-2"]
        monkeypatch.setattr(accelerators, "_taken", [])  # as in another process
        with own(1) as other:
            assert other == ["wsss-2"]
    with own(1) as again:
        assert again == ["wsss-2"], "CUDA of this process knows no other"
    with own(9) as none:
        assert none == ["wsss-0", "wsss-1", "wsss-2"], "fewer than asked for: Lightning says so"
    with own(0) as shown:
        assert shown == ["wsss-0", "wsss-1", "wsss-2"], "a job on CPUs waits for none"
    assert gpus_of_job(1) == 1 and gpus_of_job([0, 1]) == 2
    monkeypatch.setenv(ALL, "")
    with own(0) as none:
        assert jobs_at_once(1) == -1 and none == []
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert gpus_of_job(2) == 0
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert gpus_of_job(2) == 2, "what the cluster has is not known here"


@pytest.mark.parametrize(
    ("cores", "gpus", "accelerator", "devices", "expected"),
    [
        (2, "", "auto", 1, 0),
        (3, "", "cpu", 1, 0),
        (8, "", "auto", 1, 2),
        (64, "", "auto", 1, 4),
        (8, "", "cpu", 2, 1),
        (16, "0", "auto", 1, 4),
        (4, "0", "auto", 1, 3),
        (16, "0,1,2,3", "gpu", "auto", 3),
        (16, "0,1,2,3", "gpu", [0, 1], 4),
        (8, "0", "cpu", 1, 2),
    ],
)
def test_loading_processes_follow_cores_and_devices(
    monkeypatch: pytest.MonkeyPatch, cores: int, gpus: str, accelerator: str, devices: int | str, expected: int
) -> None:
    monkeypatch.delenv(WORKERS)
    monkeypatch.setenv(ALL, gpus)
    monkeypatch.setattr(accelerators, "_cores", lambda: cores)
    assert loading_workers(accelerator, devices) == expected
    chosen = f"[{','.join(map(str, devices))}]" if isinstance(devices, list) else devices
    config = pipeline.compose([f"trainer.accelerator={accelerator}", f"trainer.devices={chosen}"])
    assert config.runtime.workers == expected
    monkeypatch.setenv(WORKERS, "7")
    assert loading_workers(accelerator, devices) == 7


def test_a_job_of_slurm_gets_as_many_devices_and_machines_as_its_trainer_asks_for() -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    config = _launcher_of("trainer.devices=4", "trainer.num_nodes=2", "hydra/launcher=submitit_slurm")
    assert (config.gpus_per_node, config.nodes, config.tasks_per_node) == (4, 2, 1)
    assert _launcher_of("hydra/launcher=submitit_slurm").gpus_per_node == 1


def _launcher_of(*overrides: str) -> DictConfig:
    command = [sys.executable, "-m", "wsss_lightning.cli", "run", "--cfg", "hydra", *overrides]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    OmegaConf.register_new_resolver("jobs_at_once", jobs_at_once, replace=True)
    written = OmegaConf.create(yaml.safe_load(done.stdout))
    devices = dict(override.removeprefix("trainer.").split("=") for override in overrides if "trainer." in override)
    written.trainer = {"devices": 1, "num_nodes": 1, **{name: int(value) for name, value in devices.items()}}
    return written.hydra.launcher


def test_a_launcher_that_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    assert launcher(["-m", "seed=1,2"]) is None
    monkeypatch.setattr(submission.importlib.util, "find_spec", lambda _: None)
    assert launcher(["-m", "hydra/launcher=basic"]) == "basic"
    with pytest.raises(InputError, match=r"submitit_slurm is not installed: pip install 'wsss-lightning\[launchers\]'"):
        launcher(["-m", "hydra/launcher=submitit_slurm"])
    with pytest.raises(InputError, match=r"ray is not installed: pip install 'wsss-lightning\[ray_launcher\]'"):
        launcher(["-m", "hydra/launcher=ray"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["hydra/launcher=joblib", "seed=1"], r"^hydra/launcher=joblib launches the jobs of a sweep: add -m, or"),
        (["-m", "hydra/launcher=submitit_slurm"], "^hydra/launcher=submitit_slurm: SLURM's srun is not on PATH"),
        (["-m", "--cfg=job", "seed=0,1"], "^--cfg shows one job, not a sweep: leave -m out, and give"),
    ],
)
def test_a_launcher_that_would_launch_nothing_is_refused(
    arguments: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(submission.importlib.util, "find_spec", lambda _: True)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=sentence):
        check_launcher(arguments)
    for allowed in (
        ["--cfg", "job", "hydra/launcher=joblib"],
        ["-m", "--help"],
        ["-m", "hydra/launcher=joblib"],
        ["hydra/launcher=basic"],
        [],
    ):
        check_launcher(allowed)
    (tmp_path / "srun").touch(mode=0o755)
    check_launcher(["-m", "hydra/launcher=submitit_slurm"])


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (type("TerminatedWorkerError", (Exception,), {})(), "^The process of a job was killed, .* same command again"),
        (
            ConnectionError("Failed to connect to Ray cluster at a:1"),
            "^Failed to connect to Ray .* of RAY_ADDRESS runs",
        ),
        (ConnectionError("a row's own"), None),
        (RuntimeError("a row's own"), None),
    ],
)
def test_what_a_launcher_meets_is_one_sentence(error: Exception, sentence: str | None) -> None:
    with pytest.raises(InputError if sentence else type(error), match=sentence), launching():
        raise error


@pytest.mark.parametrize(("name", "asks"), [("ray", True), ("submitit_local", False), ("joblib", False)])
def test_jobs_of_ray_ask_to_end_with_their_parent(name: str, asks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(submission, "end_with_parent", asked.append)
    end_with_sweep(yaml.safe_load((CODE / "conf" / "hydra" / "launcher" / f"{name}.yaml").read_text()))
    assert asked == ([os.getppid()] if asks else [])


def test_code_is_copied_once_for_each_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = copied(tmp_path)
    assert copied(tmp_path) == copy and [path.name for path in tmp_path.iterdir()] == [copy.name]
    assert (copy / "conf" / "config.yaml").read_bytes() == (CODE / "conf" / "config.yaml").read_bytes()
    assert (copy / "wsss_lightning" / "cli.py").is_file() and not list(copy.rglob("__pycache__"))
    monkeypatch.setattr(submission, "commit", lambda: "another")
    assert copied(tmp_path) != copy


@pytest.mark.long
def test_an_edit_after_submission_changes_no_job(sweep: Sweep) -> None:
    """The checkout's code and configuration are broken while the first of two jobs runs, which the second waits for."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    code = sweep.folder / "checkout"
    for name in ("wsss_lightning", "conf"):
        shutil.copytree(CODE / name, code / name, ignore=shutil.ignore_patterns("__pycache__"))
    overrides = ["method=fake", "row=0,1", "at_once=3", "hydra/launcher=submitit_local"]
    job = sweep.start(*overrides, code=code, CUDA_VISIBLE_DEVICES="wsss-e")
    deadline = time.monotonic() + 120
    while not sweep.devices() and time.monotonic() < deadline:
        time.sleep(0.1)
    for path in (code / "wsss_lightning" / "pipeline" / "execution.py", code / "conf" / "config.yaml"):
        path.write_text("broken")
    for number in range(2):
        (sweep.root / "store" / f"extra{number}").mkdir()
        (sweep.root / "store" / f"extra{number}" / "devices").touch()  # lets the first job go on
    _, err = job.communicate(timeout=600)
    assert job.returncode == 0, err
    assert sweep.devices() == ["wsss-e", "wsss-e"]
    records = [json.loads(path.read_text()) for path in (sweep.root / "store").glob("only-*/stage.json")]
    assert len({record["commit"] for record in records}) == 1


TRAINING = ["result=localizers", "stages.shapes.train=30", "stages.shapes.val=4", "data.classes=[stripe_egg,ray_tent]"]


@pytest.mark.long
def test_a_preempted_job_is_queued_again_and_ends_with_the_same_weights(sweep: Sweep) -> None:
    """SIGUSR2 is what SLURM sends before it takes a machine away; submitit's own way of queueing again answers it."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    steps = ["tuning.localizer.epochs=[15,15]", "runtime.checkpoint_every=10"]
    whole, parts = Sweep(sweep.folder / "whole"), Sweep(sweep.folder / "parts")
    whole.run(*TRAINING, *steps)
    job = parts.start(*TRAINING, *steps, "hydra/launcher=submitit_local")
    deadline = time.monotonic() + 240
    while not (found := list(parts.root.glob("store/localizers-*/last.ckpt"))) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found, "it was preempted while it trained"
    (process,) = _processes(parts.root)
    os.kill(process, signal.SIGUSR2)
    _, err = job.communicate(timeout=600)
    assert job.returncode == 0, err
    ends = [next(each.root.glob("store/localizers-*/model.safetensors")).read_bytes() for each in (whole, parts)]
    assert ends[0] == ends[1]
    logs = "".join(path.read_text() for path in parts.root.glob("sweeps/*/.submitit/**/*.err"))
    assert "preempted" in logs and "Requeued job" in logs


def _processes(root: Path) -> list[int]:
    """Those that compute a job of submitit's in `root`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except OSError:
            continue
        if b"submitit.core._submit" in command and str(root).encode() in command:
            found.append(int(path.parent.name))
    return found
