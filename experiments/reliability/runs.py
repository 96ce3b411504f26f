"""Runs that must agree bit by bit: once more, with loading processes, several at once, after their store was deleted.

python experiments/reliability/runs.py [METHOD] [--what twice,workers,shared,deleted,locked] [--processes N,...]
                                     [--name N] [--out D] [--work D]

twice: the same seed a second time. workers: `runtime.workers=2` beside 0. shared: N processes start the same sweep of
two seeds on one store, for each N. deleted: the store is deleted under a run, after its first stage, in the middle and
before its last one, and the run started again. locked: a run is killed while it holds a lock, and started again, where
the dead process was one of this machine, and where its claim is that of another one. Writes N-METHOD.json, N being
runs.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stores import SMALL, compare, machine, overrides, run, start

from wsss_lightning.pipeline.leases import LOST_AFTER
from wsss_lightning.stages.io import write_json

WHAT = ("twice", "workers", "shared", "deleted", "locked")
_SWEEP = ["-m", "seed=0,1"]
_LOOK = 0.05  # seconds


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
    for processes in options.processes if "shared" in options.what else []:
        found[f"shared by {processes}"] = shared(given, work, processes=processes)
    if "deleted" in options.what:
        found["deleted"] = deleted(given, work)
    if "locked" in options.what:
        found["locked"] = locked(given, work)
    command = f"python experiments/reliability/runs.py {options.method} --what {','.join(options.what)}"
    command += f" --processes {','.join(map(str, options.processes))}"
    write_json(
        options.out / f"{options.name}-{options.method}.json", {"command": command, **found, "machine": machine()}
    )
    print(found)
    return int(not all(each["kept"] for each in found.values()))


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Runs that must agree bit by bit.")
    parser.add_argument("method", nargs="?", choices=sorted(SMALL), default="points")
    parser.add_argument("--what", type=lambda text: text.split(","), default=list(WHAT))
    parser.add_argument("--processes", type=lambda text: [*map(int, text.split(","))], default=[2, 4])
    parser.add_argument("--name", default="runs", help="of the figures' file, before the method")
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
    if not (work / "alone").exists():
        run([*given, *_SWEEP], work / "alone")
    shutil.rmtree(work / "shared", ignore_errors=True)
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
    """A run whose store vanishes ends with one sentence that names it, and one from anew is what it would have been."""
    root, count = work / "deleted", len(list((work / "whole" / "store").glob("[!.]*/stage.json")))
    said = [_deleted_under(given, root, finished=number) for number in sorted({1, count // 2, count - 1})]
    run(given, root)
    found = compare(work / "whole" / "store", root / "store")
    kept = all(" was deleted while " in sentence for sentence in said) and not found.differ + found.surplus
    return {"kept": kept, "said": said} | found.as_json()


def _deleted_under(given: Sequence[str], root: Path, *, finished: int) -> str:
    """Delete the store as soon as so many stages have finished; what the run says at its end, if that is a sentence."""
    log, store = f"log-{finished}.txt", root / "store"
    job = start(given, root, log=log)
    while job.poll() is None and len(list(store.glob("[!.]*/stage.json"))) < finished:
        time.sleep(_LOOK)
    while store.exists():  # the run goes on making folders meanwhile
        shutil.rmtree(store, ignore_errors=True)
    status, said = job.wait(), (root / log).read_text()
    if status != 1 or "Traceback" in said:
        return f"status {status}, see {log}"
    return said.splitlines()[-1].replace(str(root), "")


def locked(given: Sequence[str], work: Path) -> dict[str, Any]:
    """What a killed process of this machine leaves stops nobody; what one of another left, for a minute."""
    root = work / "locked"
    waited = [_after_a_kill(given, root, elsewhere=elsewhere) for elsewhere in (False, True)]
    found = compare(work / "whole" / "store", root / "store")
    kept = waited[0] < LOST_AFTER / 2 and LOST_AFTER <= waited[1] < 2 * LOST_AFTER
    return {"kept": kept and not found.differ + found.surplus, "waited_s": waited} | found.as_json()


def _after_a_kill(given: Sequence[str], root: Path, *, elsewhere: bool) -> float:
    """Kill a run while it holds a claim; how long a second one waits until it has one of its own, seconds."""
    shutil.rmtree(root, ignore_errors=True)
    job = start(given, root)
    while not (claims := list(root.glob("store/.locks/*.lease"))) or not claims[0].stat().st_size:
        time.sleep(_LOOK)
    job.kill()
    job.wait()
    (claim,) = claims
    content = json.loads(claim.read_text())
    claim.write_text(json.dumps(content | ({"machine": "another", "host": "another"} if elsewhere else {})))
    job = start(given, root, log="log-again.txt")
    begun, running = (_said(root / "log-again.txt", words) for words in ("stages to do", ": running"))
    if job.wait() != 0:
        raise RuntimeError(f"wsss run failed: see {root / 'log-again.txt'}")
    return round(running - begun, 1)


def _said(log: Path, words: str) -> float:
    """Wait until a run says something; when that was, seconds."""
    while words not in log.read_text():
        time.sleep(_LOOK)
    return time.monotonic()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
