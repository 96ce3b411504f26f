"""A run killed again and again at random moments, against one that nobody disturbed: every file bit by bit.

python experiments/reliability/kills.py METHOD [--kills N] [--how main,worker,group] [--seed S] [--minutes M]
                                      [--name N] [--out D] [--work D]

Every run is forked from this process, which has imported all, so that kills do not fall into imports. All have a
loading process, a third of them processes for images. A kill falls on the main process, one of its worker processes or
all at once (`group`). `term`: SIGTERM to the main process; `interrupt`: Ctrl-C in a terminal, which all processes get.
`preempted`, `warned`: as SLURM ends a job, by SIGTERM to all processes, or by the SIGUSR1 that `--signal` asks for, in
an environment as SLURM sets it, where Lightning would requeue the job and call `scontrol`. What is left is run again
until all kills are done, from an empty store whenever a run has ended by itself, and then to its end. Writes
N-METHOD.json, N being kills.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forked import Job, import_all
from stores import SMALL, Comparison, compare, machine, members, outlived, overrides

from wsss_lightning.stages.io import write_json

SIGNALS = {"main": signal.SIGKILL, "worker": signal.SIGKILL, "group": signal.SIGKILL}
SIGNALS |= {"term": signal.SIGTERM, "interrupt": signal.SIGINT}
SIGNALS |= {"preempted": signal.SIGTERM, "warned": signal.SIGUSR1}
_TO_ALL = {"group", "interrupt", "preempted", "warned"}
_SLURM = {
    "SLURM_JOB_ID": "1",
    "SLURM_JOB_NAME": "campaign",
    "SLURM_NTASKS": "1",
    "SLURM_NTASKS_PER_NODE": "1",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
    "SLURM_JOB_NODELIST": "node1",
}
_HOW = ["main", "worker", "group"]
_PATIENCE = 1200.0  # seconds until a run that lost a worker must have ended; one that can do without it ends as planned
_UNTIL_WORKER = 10.0  # seconds that a kill of a worker waits for one
_GONE = 60.0  # seconds until processes are counted as left behind
_WITH_PROCESSES = 0.3  # of all runs: those that start processes for images take several times as long


@dataclass
class Found:
    """What a campaign finds; `tracebacks` of runs whose main process was not killed, which have to say a sentence."""

    kills: Counter[str] = field(default_factory=Counter)
    stages: Counter[str] = field(default_factory=Counter)  # half done when a kill fell
    complete_runs_compared: int = 0
    compared: Comparison = field(default_factory=Comparison)
    tracebacks: int = 0
    processes_left: int = 0  # after `_GONE`
    slowest_end_s: float = 0.0  # of a main process
    slowest_last_process_s: float = 0.0
    requeued: int = 0  # by whatever called `scontrol`

    def as_json(self) -> dict[str, Any]:
        figures = {**vars(self), "kills": dict(self.kills), "stages": dict(self.stages), **self.compared.as_json()}
        del figures["compared"]
        return figures


def main(arguments: list[str]) -> int:
    """Run a campaign; status 1 where a file differs, a process is left or a traceback is printed."""
    options = _options(arguments)
    work = Path(options.work or tempfile.mkdtemp(prefix="kills-"))
    given = [*overrides(options.method), "runtime.workers=1"]
    os.environ |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}  # before what reads them is imported
    if {"preempted", "warned"} & {*options.how}:
        os.environ |= _SLURM | {"PATH": f"{_scontrol(work)}:{os.environ['PATH']}"}
    import_all()
    end = time.monotonic() + 60 * options.minutes
    seconds, found = campaign(given, kills=options.kills, how=options.how, seed=options.seed, work=work, end=end)
    found.requeued = sum(1 for _ in work.glob("bin/requeued*"))
    command = f"python experiments/reliability/kills.py {options.method} --kills {options.kills} --seed {options.seed}"
    command += "" if options.how == _HOW else f" --how {','.join(options.how)}"
    figures = {**found.as_json(), "undisturbed_s": seconds, "machine": machine()}
    write_json(options.out / f"{options.name or 'kills'}-{options.method}.json", {"command": command, **figures})
    print({name: value for name, value in figures.items() if name not in {"differ", "surplus"}})
    compared = found.compared
    return int(bool(compared.differ or compared.surplus or found.processes_left or found.tracebacks or found.requeued))


def _scontrol(work: Path) -> Path:
    """A folder for PATH, with a `scontrol` that does nothing but count its calls."""
    program = work / "bin" / "scontrol"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f"#!/bin/sh\nmktemp {program.parent}/requeued.XXXXXX\n")
    program.chmod(0o755)
    return program.parent


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A run killed at random moments.")
    parser.add_argument("method", choices=sorted(SMALL))
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--how", type=lambda text: text.split(","), default=_HOW)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="kill no more after so long")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", help="of the figures' file, before the method")
    parser.add_argument("--work", type=Path, help="where the stores are; default: a temporary folder")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    return parser.parse_args(arguments)


def campaign(
    given: Sequence[str], *, kills: int, how: Sequence[str], seed: int, work: Path, end: float
) -> tuple[float, Found]:
    """Kill `kills` times, with every way of `how` in turn, and compare all that was computed meanwhile.

    Returns:
        Seconds of the run that nobody disturbed, and what was found.
    """
    generator, whole, root, found = random.Random(seed), work / "whole", work / "killed", Found()
    seconds = _whole(given, whole)
    while found.kills.total() < kills and time.monotonic() < end:
        # Short waits, too, since what starts and what is nearly done are other moments than the long middle.
        job = Job(given, root, processes=generator.random() < _WITH_PROCESSES)
        try:
            status = job.wait(timeout=generator.uniform(0.05, 0.6) * seconds)
        except subprocess.TimeoutExpired:
            _disturb(job, how[found.kills.total() % len(how)], root, generator, found)
            continue
        if status != 0:
            raise RuntimeError(f"an undisturbed run failed: see {root / 'log.txt'}")
        _compare(whole, root, found)
        shutil.rmtree(root / "store")
    _whole(given, root)
    _compare(whole, root, found)
    return round(seconds, 1), found


def _compare(whole: Path, root: Path, found: Found) -> None:
    found.complete_runs_compared += 1
    found.compared.add(compare(whole / "store", root / "store"))


def _disturb(job: Job, kind: str, root: Path, generator: random.Random, found: Found) -> None:
    """Kill a run, and wait until nothing is left of it."""
    found.stages.update(_unfinished(root / "store"))
    before = _tracebacks(root)
    kind, took = _kill(job, kind, generator)
    begun = time.monotonic()
    found.processes_left += outlived(job.pid, seconds=_GONE)
    last = took + time.monotonic() - begun
    found.kills[kind] += 1
    found.tracebacks += _tracebacks(root) - before if kind not in ("main", "group") else 0
    found.slowest_end_s = max(found.slowest_end_s, round(took, 2))
    found.slowest_last_process_s = max(found.slowest_last_process_s, round(last, 2))
    print(f"{found.kills.total()}: {kind}, ended after {took:.1f} s, its last process after {last:.1f} s", flush=True)


def _tracebacks(root: Path) -> int:
    return (root / "log.txt").read_text(errors="replace").count("Traceback")


def _unfinished(store: Path) -> list[str]:
    folders = {path.parent for path in store.glob("[!.]*/node.json")}
    return [folder.name.rpartition("-")[0] for folder in folders if not (folder / "stage.json").exists()] or ["-"]


def _whole(given: Sequence[str], root: Path) -> float:
    """An undisturbed run, seconds."""
    begun = time.monotonic()
    if Job(given, root, processes=False).wait(timeout=float("inf")) != 0:
        raise RuntimeError(f"an undisturbed run failed: see {root / 'log.txt'}")
    return time.monotonic() - begun


def _kill(job: Job, kind: str, generator: random.Random) -> tuple[str, float]:
    """What was killed, and how many seconds the main process took to end; a worker only where one comes soon."""
    workers = _workers(job) if kind == "worker" else []
    kind = "main" if kind == "worker" and not workers else kind
    begun = time.monotonic()
    if kind in _TO_ALL:
        os.killpg(job.pid, SIGNALS[kind])
    else:
        with suppress(ProcessLookupError):  # a worker that has just done its work
            os.kill(generator.choice(workers) if kind == "worker" else job.pid, SIGNALS[kind])
    job.wait(timeout=_PATIENCE)
    return kind, time.monotonic() - begun


def _workers(job: Job) -> list[int]:
    deadline = time.monotonic() + _UNTIL_WORKER
    while not (found := [each for each in members(job.pid) if each != job.pid]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
