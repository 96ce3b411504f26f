"""A run killed again and again at random moments, against one that nobody disturbed: every file bit by bit.

python experiments/reliability/kills.py METHOD [--kills N] [--how main,worker,group] [--seed S] [--minutes M]
                                      [--out D] [--work D]

Every run is forked from this process, which has imported all, so that kills do not fall into imports. All have a loading
process, a third of them processes for images, too. A kill (SIGKILL; `term` and `interrupt` are SIGTERM and Ctrl-C) falls
on the main process, one of its worker processes or all at once. What is left is run again until all kills are done,
from an empty store whenever a run has ended by itself, and then to its end. Writes kills-METHOD.json.
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
from pathlib import Path
from typing import Any

from forked import Job, import_all
from stores import SMALL, Comparison, compare, machine, members, outlived, overrides

from wsss_lightning.stages.io import write_json

SIGNALS = {"main": signal.SIGKILL, "worker": signal.SIGKILL, "group": signal.SIGKILL}
SIGNALS |= {"term": signal.SIGTERM, "interrupt": signal.SIGINT}
_PATIENCE = 1200.0  # seconds until a run that lost a worker must have ended; one that can do without it ends as planned
_WITH_PROCESSES = 0.3  # of all runs: those that start processes for images take several times as long


def main(arguments: list[str]) -> int:
    """Run a campaign; status 1 where a file differs, a process is left or a traceback is printed."""
    options = _options(arguments)
    work = Path(options.work or tempfile.mkdtemp(prefix="kills-"))
    given = [*overrides(options.method), "runtime.workers=1"]
    os.environ |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}  # before what reads them is imported
    import_all()
    end = time.monotonic() + 60 * options.minutes
    found = campaign(given, kills=options.kills, how=options.how, seed=options.seed, work=work, end=end)
    command = f"python experiments/reliability/kills.py {options.method} --kills {options.kills} --seed {options.seed}"
    write_json(options.out / f"kills-{options.method}.json", {"command": command, **found, "machine": machine()})
    print({name: value for name, value in found.items() if name not in {"differ", "surplus"}})
    return int(bool(found["differ"] or found["surplus"] or found["processes_left"] or found["tracebacks"]))


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A run killed at random moments.")
    parser.add_argument("method", choices=sorted(SMALL))
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--how", type=lambda text: text.split(","), default=["main", "worker", "group"])
    parser.add_argument("--minutes", type=float, default=float("inf"), help="kill no more after so long")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="where the stores are; default: a temporary folder")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    return parser.parse_args(arguments)


def campaign(
    given: Sequence[str], *, kills: int, how: Sequence[str], seed: int, work: Path, end: float
) -> dict[str, Any]:
    """Kill `kills` times, with every way of `how` in turn, and compare all that was computed meanwhile."""
    generator, whole, root = random.Random(seed), work / "whole", work / "killed"
    seconds = _whole(given, whole)
    counts: Counter[str] = Counter()
    fell: Counter[str] = Counter()
    compared, left, slowest, passes = Comparison(), 0, 0.0, 0
    while sum(counts.values()) < kills and time.monotonic() < end:
        # Short waits, too, since what starts and what is nearly done are other moments than the long middle.
        job = Job(given, root, processes=generator.random() < _WITH_PROCESSES)
        try:
            status = job.wait(timeout=generator.uniform(0.05, 0.6) * seconds)
        except subprocess.TimeoutExpired:
            kind = how[sum(counts.values()) % len(how)]
            fell.update(_unfinished(root / "store"))
            kind, took = _kill(job, kind, generator)
            counts[kind], slowest = counts[kind] + 1, max(slowest, took)
            left += outlived(job.pid)
            print(f"{sum(counts.values())}: {kind}, ended after {took:.1f} s, {left} processes left", flush=True)
            continue
        if status != 0:
            raise RuntimeError(f"an undisturbed run failed: see {root / 'log.txt'}")
        passes += 1
        compared.add(compare(whole / "store", root / "store"))
        shutil.rmtree(root / "store")
    _whole(given, root)
    compared.add(compare(whole / "store", root / "store"))
    return {
        "kills": dict(counts),
        "complete_runs_compared": passes + 1,
        **compared.as_json(),
        "processes_left": left,
        "tracebacks": (root / "log.txt").read_text(errors="replace").count("Traceback"),
        "slowest_end_s": round(slowest, 2),
        "undisturbed_s": round(seconds, 1),
        "stages": dict(fell),
    }


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
    """What was killed, and how many seconds the main process took to end; a worker only where there is one."""
    workers = [process for process in members(job.pid) if process != job.pid]
    if kind == "worker" and not workers:
        kind = "main"
    begun = time.monotonic()
    if kind == "group":
        os.killpg(job.pid, SIGNALS[kind])
    else:
        os.kill(generator.choice(workers) if kind == "worker" else job.pid, SIGNALS[kind])
    job.wait(timeout=_PATIENCE)
    return kind, time.monotonic() - begun


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
