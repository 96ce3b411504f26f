"""A stage on several machines: two launchers on one host, and two hosts that are network namespaces."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fake_stages
import pytest
from fake_stages import MakePlan, stage
from omegaconf import OmegaConf

from wsss_lightning import pipeline
from wsss_lightning.commands import run
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline import Plan, teams
from wsss_lightning.pipeline.store import in_progress

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children end with their parent on Linux")
MACHINES = {"devices": 1, "num_nodes": 2}
JOIN = "import logging; logging.basicConfig(level=20); from wsss_lightning.cli import main; main()"


@pytest.fixture(autouse=True)
def _stages_are_found_by_children(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [str(Path(fake_stages.__file__).parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    monkeypatch.setenv("WSSS_TEAM", "of_test")


Joined = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def join() -> Iterator[Joined]:
    """Start `wsss join`, by default for machine 1; ended with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(plan: Plan, number: int = 1, before: list[str] | None = None) -> subprocess.Popen[str]:
        options = ["--store", str(plan.final.folder.parent), "--number", str(number)]
        command = [*(before or []), sys.executable, "-c", JOIN, "join", *options]
        started.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _run(plan: Plan, *, before: list[str] | None = None, **environment: str) -> subprocess.Popen[str]:
    """Run a plan in a process of its own, as machine 0."""
    config: dict[str, Any] = {"paths": {"store": str(plan.final.folder.parent)}, "stages": plan.config["stages"]}
    config |= {"result": plan.result, "runtime": {"team": "of_test", "address": environment.get("WSSS_ADDRESS")}}
    program = f"""
import json, sys
from omegaconf import OmegaConf
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline import run
from wsss_lightning.pipeline.planning import plan_config
try:
    print(json.dumps(run(plan_config(OmegaConf.create({config!r})))))
except InputError as error:
    sys.exit(f"wsss: {{error}}")
"""
    command = [*(before or []), sys.executable, "-c", program]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env={**os.environ, **environment})


def _wait(condition: Callable[[], object], *, what: str) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


def _is_gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def _files(plan: Plan) -> set[str]:
    return {path.name for path in plan.final.folder.iterdir()}


def test_two_launchers_compute_a_stage_together(make_plan: MakePlan, join: Joined) -> None:
    _together(make_plan({"only": stage("ranks", trainer=MACHINES)}), join)


@pytest.mark.parametrize(("number", "machines", "lent"), [("0", 2, False), ("1", 1, False), ("1", 2, True)])
def test_a_second_machine_of_a_slurm_job_lends_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str, machines: int, lent: bool
) -> None:
    asked: list[tuple[str, int]] = []
    monkeypatch.setattr(teams, "join", lambda team, number: asked.append((team.name, number)))
    monkeypatch.setenv("SLURM_NODEID", number)
    config = OmegaConf.create({"trainer": {"num_nodes": machines}, "paths": {"store": "s"}, "runtime": {"team": "7"}})
    assert teams.lends(config) is lent
    if lent:
        (tmp_path / "run").mkdir()
        run._lend(config, tmp_path / "run", keep=False)
        assert asked == [("7", 1)] and list(tmp_path.iterdir()) == [], "one folder a row"


@pytest.mark.long
def test_a_machine_stays_for_the_next_stage(make_plan: MakePlan, join: Joined) -> None:
    stages = {name: stage("ranks", trainer=MACHINES) for name in ("first", "last")}
    stages["last"]["previous"] = "${artifact:first}"
    _together(make_plan(stages), join)


def _together(plan: Plan, join: Joined) -> None:
    other, job = join(plan), _run(plan)
    out, err = job.communicate(timeout=300)
    assert job.returncode == 0 and json.loads(out) == {"world": 2.0, "rank": 0.0}, err
    assert _files(plan) == {"rank0", "rank1", "node.json", "stage.json"}
    assert len({(plan.final.folder / f"rank{rank}").read_text() for rank in (0, 1)}) == 2
    assert other.wait(timeout=60) == 0, "it ends with the run"
    assert not in_progress(plan.final.folder)
    assert [path.name for path in (plan.final.folder.parent / ".teams" / "of_test").iterdir()] == ["ended-1.json"]


@pytest.mark.long
def test_what_a_process_of_another_machine_refuses_ends_all_in_its_sentence(make_plan: MakePlan, join: Joined) -> None:
    plan = make_plan({"only": stage("ranks", trainer=MACHINES, refused_by=1)})
    other, job = join(plan), _run(plan)
    _, err = job.communicate(timeout=300)
    assert job.returncode == 1 and err.strip().splitlines()[-1] == "wsss: Process 1 refuses: ask another."
    assert other.wait(timeout=60) == 0 and plan.final.status() == "half done"


@pytest.mark.long
@pytest.mark.parametrize("killed", ["run", "join", "worker"])
def test_whatever_is_killed_no_process_stays_on_either_machine(make_plan: MakePlan, join: Joined, killed: str) -> None:
    plan = make_plan({"only": stage("ranks_forever", trainer=MACHINES)})
    files = [plan.final.folder / f"rank{rank}" for rank in (0, 1)]
    other, job = join(plan), _run(plan)
    _wait(lambda: all(file.exists() and file.read_text() for file in files), what="both processes")
    workers = [int(file.read_text()) for file in files]
    os.kill({"run": job.pid, "join": other.pid, "worker": workers[1]}[killed], signal.SIGKILL)
    job.communicate(timeout=300)
    assert job.returncode != 0
    _wait(lambda: all(_is_gone(worker) for worker in workers), what="the end of the workers")
    _wait(lambda: not in_progress(plan.final.folder), what="the lock")
    assert other.wait(timeout=60) == {"run": 1, "join": -signal.SIGKILL, "worker": 0}[killed]
    assert plan.final.status() == "half done"


@pytest.fixture
def hosts() -> Iterator[list[tuple[str, str]]]:
    """Two network namespaces on one cable: how to run a command in each, and its address."""
    if os.getuid() != 0 or shutil.which("ip") is None or _ip("netns", "add", "wsss0").returncode != 0:
        pytest.skip("network namespaces need root, iproute2 and a kernel that allows them")
    try:
        _ip("netns", "add", "wsss1")
        _ip("link", "add", "wsss0", "netns", "wsss0", "type", "veth", "peer", "name", "wsss1", "netns", "wsss1")
        for number in (0, 1):
            inside = ("-n", f"wsss{number}")
            _ip(*inside, "addr", "add", f"10.231.7.{number + 1}/24", "dev", f"wsss{number}")
            for device in ("lo", f"wsss{number}"):
                _ip(*inside, "link", "set", device, "up")
        yield [(f"wsss{number}", f"10.231.7.{number + 1}") for number in (0, 1)]
    finally:
        for number in (0, 1):
            _ip("netns", "delete", f"wsss{number}")


def _ip(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["ip", *arguments], capture_output=True, check=False)


@pytest.mark.long
def test_two_hosts_train_the_same_weights_as_two_devices(
    make_plan: MakePlan, join: Joined, hosts: list[tuple[str, str]]
) -> None:
    """Linear regression whose processes exchange gradients over the cable."""
    plans = [
        make_plan({"only": stage("descend", trainer={**trainer, "accelerator": "cpu"})})
        for trainer in ({"devices": 2}, {"devices": 1, "num_nodes": 2})
    ]
    one = pipeline.run(plans[0])
    inside = [["ip", "netns", "exec", name, "env", f"GLOO_SOCKET_IFNAME={name}"] for name, _ in hosts]
    other = join(plans[1], before=inside[1])
    job = _run(plans[1], before=inside[0], WSSS_ADDRESS=hosts[0][1])
    out, err = job.communicate(timeout=180)
    assert job.returncode == 0, err
    assert json.loads(out) == one and one["world"] == 2.0
    assert other.wait(timeout=60) == 0


def test_a_record_alone_finds_no_machines(make_plan: MakePlan, tmp_path: Path) -> None:
    plan = make_plan({"only": stage("write", value=1)})
    pipeline.run(plan)
    path = plan.final.folder / "stage.json"
    record = json.loads(path.read_text())
    record["node"] |= stage("ranks", trainer=MACHINES) | {"out_dir": "<out_dir>"}
    del record["node"]["value"]
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match="again needs 2 machines: compute it by wsss run"):
        pipeline.rerun(path, out_dir=tmp_path / "again")
