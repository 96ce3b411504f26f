"""Several machines that share a store: one runs a pipeline, the others lend it their devices (`wsss join`).

All that they tell each other lies in `store/.teams/<team>/`: who is there (a claim a machine, see `leases`), the stage
that is to be computed together (`call.json`), and how a machine's part ended (`ended-<number>.json`). Processes find
each other by torchrun's rendezvous, at the address of machine 0.
"""

import atexit
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsss_lightning.atomic import read_mapping, write_json
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.leases import Signs, leased

_LOOK = 0.2  # seconds between two looks at what the others say
_GRACE = 10.0  # seconds that processes get to end by themselves

log = logging.getLogger(__name__)
Descriptors = tuple[int, ...]


@dataclass(frozen=True)
class Team:
    """The machines that work on one run. `address`: HOST or HOST:PORT of machine 0, None for its name."""

    store: Path
    name: str
    address: str | None = None

    @property
    def folder(self) -> Path:
        """What they tell each other."""
        return self.store / ".teams" / self.name

    def claim(self, number: int) -> Path:
        """Sign of life of one machine."""
        return self.folder / f"{number}.lease"

    def endpoint(self) -> str:
        """HOST:PORT, with a free port unless one is given."""
        host, _, port = (self.address or socket.gethostname()).partition(":")
        if not port:
            with socket.socket() as free:
                free.bind(("", 0))
                port = str(free.getsockname()[1])
        return f"{host}:{port}"


_current: ContextVar[Team | None] = ContextVar("team", default=None)
_held: dict[Path, ExitStack] = {}


@contextmanager
def of(team: Team | None) -> Iterator[None]:
    """Inside, stages on several machines are computed with this team."""
    reset = _current.set(team)
    try:
        yield
    finally:
        _current.reset(reset)


def call_together(request: dict[str, Any], *, path: Path, machines: int, pass_fds: Descriptors) -> int:
    """Have `machines` machines call what `request` says, this one the first; the worst exit status of all.

    `request` is written to `path` with what a launcher must know besides. The others are waited for.
    """
    team = _current.get()
    if team is None:
        raise InputError(f"{path.parent.name} needs {machines} machines: compute it by wsss run or wsss table.")
    _lead(team)
    others = {number: Signs(team.claim(number)) for number in range(1, machines)}
    _wait_for(others, team)
    called = {"id": path.parent.name + f"-{time.time_ns()}", "request": str(path)}
    write_json(path, {**request, "machines": machines, "endpoint": team.endpoint(), "id": called["id"]})
    try:
        write_json(team.folder / "call.json", called)
        return _attended(start(path, number=0, pass_fds=pass_fds), called, others, team)
    finally:
        (team.folder / "call.json").unlink(missing_ok=True)


def start(request: Path, *, number: int, pass_fds: Descriptors = ()) -> subprocess.Popen[bytes]:
    """Start the launcher of machine `number`'s processes; they end when this one does."""
    command = [sys.executable, "-m", "wsss_lightning.pipeline.launcher", str(os.getpid()), str(number), str(request)]
    return subprocess.Popen(command, pass_fds=pass_fds)


def ended(process: subprocess.Popen[bytes]) -> int:
    """Wait for a launcher; whatever interrupts this ends it."""
    try:
        return process.wait()
    finally:
        _end(process)


def join(team: Team, *, number: int) -> None:
    """Lend this machine to the run that `team` is called for, from its next stage on, until that run ends.

    Raises:
        InputError: the run's machine was not heard of for a minute.
    """
    leader, was_there, done = Signs(team.claim(0)), False, None
    team.folder.mkdir(parents=True, exist_ok=True)
    with leased(team.claim(number), alone=False):
        log.info("machine %d of team %s waits for a run on %s", number, team.name, team.store)
        while (state := leader.state()) != "gone" or not was_there:
            was_there = was_there or state == "alive"
            if state == "silent" and leader.heard:  # and not one that was killed before this one came
                raise InputError(
                    f"Nothing is heard of machine 0 of team {team.name}: start its run again, and join it."
                )
            called = read_mapping(team.folder / "call.json")
            if called and called["id"] != done:
                done = called["id"]
                _take_part(team, called, leader, number=number)
            time.sleep(_LOOK)


def lends(config: Any) -> bool:
    """Whether `srun`, or a launcher, runs a command that needs several machines on another than the first."""
    return int(os.environ.get("SLURM_NODEID", "0")) > 0 and config.trainer.get("num_nodes", 1) > 1


def _take_part(team: Team, called: dict[str, Any], leader: Signs, *, number: int) -> None:
    log.info("machine %d takes part in %s", number, Path(called["request"]).parent.name)
    process, current = start(Path(called["request"]), number=number), True
    try:
        while current and process.poll() is None and leader.state() == "alive":
            time.sleep(_LOOK)
            current = read_mapping(team.folder / "call.json") == called
        with suppress(subprocess.TimeoutExpired):  # machine 0 may be done a moment earlier
            process.wait(_GRACE if leader.state() == "alive" else 0)
    finally:
        _end(process)
    write_json(team.folder / f"ended-{number}.json", {"id": called["id"], "status": process.returncode})


def _attended(process: subprocess.Popen[bytes], called: dict[str, Any], others: dict[int, Signs], team: Team) -> int:
    """Wait for the processes of this machine, and end them when those of another have failed or it is gone."""
    try:
        while process.poll() is None:
            time.sleep(_LOOK)
            for number, signs in others.items():
                left = read_mapping(team.folder / f"ended-{number}.json")
                if left.get("id") == called["id"] and left["status"] != 0:
                    return int(left["status"])
                if signs.state() != "alive":
                    raise InputError(f"Nothing is heard of machine {number} of team {team.name}: let it join again.")
        return process.returncode
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _lead(team: Team) -> None:
    """Be machine 0 of the team until this process ends, so that the others stay for the next stage and the next row."""
    if team.folder not in _held:
        held = ExitStack()
        team.folder.mkdir(parents=True, exist_ok=True)
        (team.folder / "call.json").unlink(missing_ok=True)  # of one that was killed
        held.enter_context(leased(team.claim(0), alone=False))
        _held[team.folder] = held
        atexit.register(held.close)


def _wait_for(others: dict[int, Signs], team: Team) -> None:
    told = False
    while missing := [number for number, signs in others.items() if signs.state() != "alive"]:
        if not told:
            told = True
            log.info(
                "waiting for %d machines: on each run wsss join --store %s --team %s --number %s",
                *(len(missing), team.store, team.name, "|".join(map(str, missing))),
            )
        time.sleep(_LOOK)
