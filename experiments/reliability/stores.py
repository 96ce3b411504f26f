"""`wsss run` in processes of its own, and what two stores hold beside each other; what these programs share."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from wsss_lightning.pipeline.contents import names, verified
from wsss_lightning.pipeline.store import RECORD, provenance, read_record

# A run of each method within a minute or two; a checkpoint after every other step, so that kills fall between them.
_ALL = ["trainer.accelerator=cpu", "runtime.progress=false", "runtime.processes=2", "runtime.checkpoint_every=2"]
SMALL: dict[str, list[str]] = {
    "points": [
        *("experiment=points/diverse_crf", "stages.shapes.train=24", "stages.shapes.val=4", "stages.shapes.size=64"),
        *("tuning.localizer.hidden=16", "tuning.classifier.steps=20", "points.panels=2"),
    ],
    "priors": [
        *(
            "experiment=priors/foreground_regions",
            "stages.shapes.train=6",
            "stages.shapes.val=2",
            "stages.shapes.size=64",
        ),
        *("tuning.localization.size=[64,64]", "tuning.localization.frame=[72,72]"),
        *("tuning.localization.steps=[6,4]", "tuning.segmenter.steps=[6,4]", "priors.panels=1"),
    ],
    "coseg": [
        *("experiment=coseg/full", "stages.shapes.train=8", "stages.shapes.val=3", "stages.shapes.size=64"),
        *("stages.shapes_web.per_class=2", "stages.shapes_web.size=64", "tuning.crop=[48,48]", "coseg.panels=2"),
        "stages.generator.masks=${artifact:grabcut}/masks",  # so few pictures have no groups to co-segment
        *("tuning.generator.steps=[6,2]", "tuning.final.steps=[6,2]", "tuning.snapshot_every=2"),
    ],
    "patches": [
        *("experiment=patches/lse2", "stages.shapes.train=6", "stages.shapes.val=4"),
        *("stages.shapes.size=64", "stages.shapes_web.per_class=2", "stages.shapes_web.size=64"),
        *("tuning.size=[64,64]", "tuning.steps=[6,6]", "tuning.lse1.patches=1", "tuning.lse2.patches=1"),
        *("patches.mining.most=20", "patches.panels=1"),
    ],
    "cam": [
        *("method=cam", "ablation=cam/threshold", "stages.shapes.train=24", "stages.shapes.val=6"),
        "tuning.student.steps=20",
    ],
    "two-processes": [  # one training in two, and nothing after it
        *("experiment=points/diverse", "stages.shapes.train=24", "stages.shapes.val=3", "stages.shapes.size=64"),
        *("tuning.localizer.hidden=16", "stages.localizers.trainer.devices=2", "result=localizers"),
    ],
}


def overrides(method: str) -> list[str]:
    """Of a small run of a method."""
    return [*SMALL[method], *_ALL]


def start(given: Sequence[str], root: Path, *, threads: int = 1, log: str = "log.txt") -> subprocess.Popen[bytes]:
    """`wsss run` as the head of a session of its own; what it says is added to a file of `root`."""
    root.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what ignores Ctrl-C, as under nohup, hands that on
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "wsss_lightning.cli", "run", *given, f"paths.root={root}"]
    with (root / log).open("ab") as stream:
        return subprocess.Popen(
            command, stdout=stream, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )


def run(given: Sequence[str], root: Path, *, threads: int = 1) -> float:
    """`wsss run` to its end, seconds; raises where it fails."""
    begun = time.monotonic()
    if start(given, root, threads=threads).wait() != 0:
        raise RuntimeError(f"wsss run failed: see {root / 'log.txt'}")
    return time.monotonic() - begun


def members(session: int) -> list[int]:
    """Living processes of a session, from /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, own, *_ = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if int(own) == session and state not in "ZX":
            found.append(int(path.parent.name))
    return found


def outlived(session: int, *, seconds: float = 5.0) -> int:
    """How many processes of a session are there after some seconds; they are ended."""
    deadline = time.monotonic() + seconds
    while (left := members(session)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in left:
        os.kill(process, signal.SIGKILL)
    return len(left)


@dataclass
class Comparison:
    """Files of all stages of two stores: how many are equal, and the names of others."""

    equal: int = 0
    differ: list[str] = field(default_factory=list)
    surplus: list[str] = field(default_factory=list)  # on disk, and no artifact

    def add(self, other: "Comparison") -> None:
        """Count another comparison in."""
        self.equal, self.differ, self.surplus = (
            self.equal + other.equal,
            self.differ + other.differ,
            self.surplus + other.surplus,
        )

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def compare(one: Path, other: Path) -> Comparison:
    """The stages of two stores, bit by bit, but for records (which hold times) and logs."""
    found = Comparison()
    for folder in sorted({path.parent.name for store in (one, other) for path in store.glob("[!.]*/node.json")}):
        hashes = [(read_record(store / folder) or {}).get("hashes", {}) for store in (one, other)]
        finished = [store for store in (one, other) if (store / folder / RECORD).is_file()]
        changed = [file for store in finished for _, _, files in verified(store, [folder]) for file in files]
        differ = [name for name in hashes[0].keys() | hashes[1].keys() if hashes[0].get(name) != hashes[1].get(name)]
        found.equal += len(hashes[0]) - len(differ)
        found.differ += sorted(f"{folder}/{name}" for name in {*differ, *changed})
        found.surplus += _surplus(other / folder)
    return found


def _surplus(folder: Path) -> list[str]:
    known = {*names(folder), RECORD} if folder.is_dir() else {RECORD}
    there = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return sorted(f"{folder.name}/{name}" for name in there if name not in known and not name.startswith("logs/"))


def machine() -> dict[str, Any]:
    """Of which machine and code the figures are."""
    return {name: value for name, value in provenance().items() if name != "packages"}
