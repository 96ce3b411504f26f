"""Running planned stages: one lock per key, one record per finished stage, a process group where asked for."""

import json
import logging
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.configuration import OUT_DIR, bind
from wsss_lightning.lifetime import end_with_parent
from wsss_lightning.pipeline.memory import peak_memory, reset_peak_memory
from wsss_lightning.pipeline.planning import Plan, PlannedStage
from wsss_lightning.pipeline.signatures import check_node
from wsss_lightning.pipeline.store import RECORD, locked, provenance, read_record, source_hashes, write_json

log = logging.getLogger(__name__)
Metrics = dict[str, float]


def run(plan: Plan) -> Metrics:
    """Run what is missing of `plan` and return the metrics of its last stage."""
    metrics: Metrics = {}
    for number, stage in enumerate(plan.stages.values(), start=1):
        head = f"[{number}/{len(plan.stages)}] {stage.name} {stage.key[:8]}"
        metrics = _run_stage(stage, card=plan.card, head=head)
    return metrics


def _run_stage(stage: PlannedStage, *, card: dict[str, Any], head: str) -> Metrics:
    if (record := stage.record()) is not None:
        log.info("%s: cached", head)
        return dict(record["metrics"])
    with locked(stage.folder) as lock:
        if (record := stage.record()) is not None:  # another job has computed it while this one waited
            log.info("%s: computed by another job", head)
            return dict(record["metrics"])
        log.info("%s: running", head)
        record = _compute(stage, card=card, lock=lock)
        log.info("%s: done in %.1f s", head, record["wall_seconds"])
    return dict(record["metrics"])


def _compute(stage: PlannedStage, *, card: dict[str, Any], lock: FileLock) -> dict[str, Any]:
    stage.folder.mkdir(parents=True, exist_ok=True)
    node = {key: value for key, value in stage.node.items() if key != "revision"}
    described = {"stage": stage.name, "key": stage.key, "node": stage.node, "upstream": stage.upstream}
    write_json(stage.folder / "node.json", described)
    reset_peak_memory()
    start = time.perf_counter()
    processes = _processes(node)
    bound = bind(node, stage.bindings)
    metrics = _call(bound) if processes == 1 else _process_group(bound, processes, stage.folder, lock)
    record = described | {
        "bindings": _portable(stage.bindings, store=stage.folder.parent),
        "metrics": metrics,
        "card": card,
        "wall_seconds": round(time.perf_counter() - start, 3),
        "peak_memory_bytes": peak_memory(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "processes": processes,
        **provenance(),
        "sources": source_hashes(node),
    }
    write_json(stage.folder / RECORD, record)
    return record


def _call(node: dict[str, Any]) -> Metrics:
    try:
        metrics = instantiate(node, _convert_="all")
    except InstantiationException as error:
        # Hydra wraps what a constructor or a stage raises; the wrapped error says more.
        raise error.__cause__ or error from None
    return {name: float(value) for name, value in (metrics or {}).items()}


def _processes(node: dict[str, Any]) -> int:
    trainer = node.get("trainer") or {}
    devices = trainer.get("devices", 1)
    count = len(devices) if isinstance(devices, list) else devices
    if trainer.get("num_nodes", 1) != 1 or not isinstance(count, int) or count < 1:
        raise InputError(f"trainer.devices={devices}: give the number of devices of this one machine, 1 or more.")
    return count


def _process_group(node: dict[str, Any], processes: int, folder: Path, lock: FileLock) -> Metrics:
    """Run a node in `processes` processes of its own.

    Lightning's own relaunch repeats the command line, which under `-m` is the whole sweep, in every child. The
    children inherit the lock's descriptor: it is free only when the last of them has ended.
    """
    request, answer = folder / "request.json", folder / "answer.json"
    write_json(request, {"node": node, "answer": str(answer)})
    answer.unlink(missing_ok=True)
    launcher = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, "-m", *launcher, "-m", "wsss_lightning.pipeline.worker", str(request)]
    descriptor = lock._context.lock_file_fd
    inherited = (descriptor,) if descriptor is not None else ()
    code = subprocess.run(command, preexec_fn=end_with_parent, pass_fds=inherited, check=False).returncode
    if code != 0 or not answer.is_file():
        raise InputError(f"The {processes} processes of {folder.name} ended with status {code}: see their output above.")
    metrics: Metrics = json.loads(answer.read_text())
    request.unlink()
    answer.unlink()
    return metrics


def _portable(bindings: dict[str, Any], *, store: Path) -> dict[str, Any]:
    """Bindings as a record keeps them: artifacts by folder name, so that a store may be moved as a whole."""
    inside = {token: Path(value).name for token, value in bindings.items() if token.startswith("<artifact:")}
    return {token: value for token, value in bindings.items() if token != OUT_DIR} | inside


def rerun(path: Path, *, out_dir: Path | None = None) -> Metrics:
    """Run a stage again from its `stage.json` alone, into `out_dir` (default: `STAGE-rerun` beside it).

    Nothing of the finished stage is touched, so that the two folders can be compared.
    """
    record = read_record(path.parent) if path.name == RECORD else None
    if record is None:
        raise InputError(f"{path} is no finished stage's {RECORD}: give the path of one.")
    folder, store = path.parent.resolve(), path.parent.resolve().parent
    target = out_dir or folder.with_name(f"{folder.name}-rerun")
    bindings = dict(record["bindings"]) | {OUT_DIR: str(target)}
    bindings |= {token: str(store / name) for token, name in bindings.items() if token.startswith("<artifact:")}
    for token, place in bindings.items():
        if token.startswith(("<artifact:", "<folder:", "<weights:")) and not os.path.exists(place):  # noqa: PTH110
            raise InputError(f"{record['stage']} read {place}, which is gone: put it back or run the pipeline again.")
    node = {key: value for key, value in record["node"].items() if key != "revision"}
    check_node(node, where=record["stage"])
    target.mkdir(parents=True, exist_ok=True)
    return _call(bind(node, bindings))
