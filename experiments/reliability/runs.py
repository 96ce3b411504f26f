"""Runs that must agree bit by bit: once more, with loading processes, several at once, after their store was deleted.

python experiments/reliability/runs.py [METHOD] [--what twice,workers,shared,deleted] [--processes N] [--out D]

twice: the same seed a second time. workers: `runtime.workers=2` beside 0. shared: N processes start the same sweep of
two seeds on one store. deleted: the store is deleted under a run, which is then started again. Writes runs-METHOD.json.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stores import SMALL, compare, machine, overrides, run, start

from wsss_lightning.stages.io import write_json

WHAT = ("twice", "workers", "shared", "deleted")
_SWEEP = ["-m", "seed=0,1"]


def main(arguments: list[str]) -> int:
    """Do what is asked for; status 1 where a promise is not kept."""
    options = _options(arguments)
    work, given = Path(options.work or tempfile.mkdtemp(prefix="runs-")), overrides(options.method)
    run(given, work / "whole")
    found: dict[str, Any] = {}
    if "twice" in options.what:
        found["twice"] = again(given, work)
    if "workers" in options.what:
        found["workers"] = again([*given, "runtime.workers=2"], work)
    if "shared" in options.what:
        found["shared"] = shared(given, work, processes=options.processes)
    if "deleted" in options.what:
        found["deleted"] = deleted(given, work)
    command = f"python experiments/reliability/runs.py {options.method} --processes {options.processes}"
    write_json(options.out / f"runs-{options.method}.json", {"command": command, **found, "machine": machine()})
    print(found)
    return int(not all(each["kept"] for each in found.values()))


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Runs that must agree bit by bit.")
    parser.add_argument("method", nargs="?", choices=sorted(SMALL), default="points")
    parser.add_argument("--what", type=lambda text: text.split(","), default=list(WHAT))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--work", type=Path, help="where the stores are; default: a temporary folder")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    return parser.parse_args(arguments)


def again(given: Sequence[str], work: Path) -> dict[str, Any]:
    """A second run, from an empty store, beside the first one."""
    shutil.rmtree(work / "again", ignore_errors=True)
    run(given, work / "again")
    found = compare(work / "whole" / "store", work / "again" / "store")
    return {"kept": not found.differ + found.surplus, **found.as_json()}


def shared(given: Sequence[str], work: Path, *, processes: int) -> dict[str, Any]:
    """Processes that start one sweep at once: all end well, every stage is computed once, and to the same bits."""
    logs = [f"log-{number}.txt" for number in range(processes)]
    run([*given, *_SWEEP], work / "alone")
    jobs = [start([*given, *_SWEEP], work / "shared", log=log) for log in logs]
    statuses = [job.wait() for job in jobs]
    lines = [line for log in logs for line in (work / "shared" / log).read_text().splitlines()]
    times = Counter(line.split()[-2] for line in lines if line.endswith(": running"))
    found = compare(work / "alone" / "store", work / "shared" / "store")
    kept = not (found.differ or found.surplus or any(statuses)) and set(times.values()) == {1}
    return {"kept": kept, "statuses": statuses, "computed": len(times), "twice": sum(n > 1 for n in times.values())} | (
        found.as_json()
    )


def deleted(given: Sequence[str], work: Path) -> dict[str, Any]:
    """A run whose store vanishes ends with one sentence, and one from anew is what it would have been."""
    root = work / "deleted"
    job = start(given, root)
    while job.poll() is None and len(list(root.glob("store/[!.]*/stage.json"))) < 2:
        time.sleep(0.05)
    while (root / "store").exists():  # the run goes on making folders meanwhile
        shutil.rmtree(root / "store", ignore_errors=True)
    status = job.wait()
    said = (root / "log.txt").read_text().splitlines()
    run(given, root)
    found = compare(work / "whole" / "store", root / "store")
    sentence = said[-1].startswith("wsss: ") and not any("Traceback" in line for line in said)
    kept = status == 1 and sentence and not found.differ + found.surplus
    return {"kept": kept, "status": status, "said": said[-1].replace(str(work), "")} | found.as_json()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
