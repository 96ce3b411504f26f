"""Running planned stages: one lock per key, one record per finished stage."""

import json
import logging
import time
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wsss_lightning.atomic import read_mapping, sweep, write_json
from wsss_lightning.backends import working_on
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.accelerators import emulated
from wsss_lightning.pipeline.calls import CallOutcome, arguments, call, call_group, processes, threads
from wsss_lightning.pipeline.cards import SEARCHED, derived
from wsss_lightning.pipeline.configuration import OUT_DIR, bind
from wsss_lightning.pipeline.contents import listed, read_whole
from wsss_lightning.pipeline.estimates import check_room, estimated, items
from wsss_lightning.pipeline.faults import explained
from wsss_lightning.pipeline.fingerprints import FINGERPRINTS, reading_fingerprint
from wsss_lightning.pipeline.foreign import check_calls, check_record
from wsss_lightning.pipeline.identity import TRAINS, with_current_targets
from wsss_lightning.pipeline.modules import targets
from wsss_lightning.pipeline.objects import check_readable
from wsss_lightning.pipeline.planning import Plan, PlannedStage, cached
from wsss_lightning.pipeline.readings import readers, reading_of, words
from wsss_lightning.pipeline.signatures import check_node
from wsss_lightning.pipeline.store import (
    MODEL,
    NODE,
    RECORD,
    changed_sources,
    locked,
    provenance,
    read_record,
    replacing,
    source_hashes,
)
from wsss_lightning.pipeline.teams import of
from wsss_lightning.pipeline.telling import telling
from wsss_lightning.trust import require_trust, trusting

log = logging.getLogger(__name__)
Metrics = dict[str, float]


def run(plan: Plan, *, fresh: Collection[str] = (), since: float | None = None) -> Metrics:
    """Run what is missing of `plan` and return the metrics of its last stage.

    Args:
        plan: the stages, upstream first.
        fresh: names of finished stages to compute again, and with them every stage that reads them, directly or not.
        since: what was finished after this time, in seconds since the epoch, is fresh enough, so that the jobs of a
            sweep compute a stage once; None is now.

    Raises:
        InputError: the plan has no stage of a name in `fresh`, or a stage refuses what it is given.
    """
    again, start = _with_downstream(plan, fresh), time.time() if since is None else since
    record: dict[str, Any] = {"metrics": {}}
    _announce(plan, again)
    with working_on(plan.backend), of(plan.team), telling(plan) as tell:
        for number, stage in enumerate(plan.stages.values(), start=1):
            head = f"[{number}/{len(plan.stages)}] {stage.name} {stage.key[:8]}"
            after = start if stage.name in again else None
            # A search looks at its result: what was computed on the way there serves others, too.
            card = {name: entry for name, entry in plan.card.items() if name != SEARCHED or stage is plan.final}
            with tell.following(stage):
                record, served = _run_stage(stage, card=card, head=head, after=after)
            tell.result(stage, record, cached=served)
    return dict(record["metrics"])


def _announce(plan: Plan, again: Collection[str]) -> None:
    """How many stages there are to do, and how long their like took; what would stop one of them late stops it here."""
    waiting = [stage for stage in plan.stages.values() if stage.name in again or read_record(stage.folder) is None]
    if waiting:
        count = f"{len(waiting)} of {len(plan.stages)} stages to do"
        log.info("%s", ", ".join(filter(None, [count, estimated(waiting)])))
        if slow := emulated(stage.node for stage in waiting):
            log.warning("%s", slow)
        for stage in waiting:
            check_readable(stage.node, stage.bindings)
            if TRAINS in stage.node and any(stage.name in other.upstream for other in plan.stages.values()):
                require_trust(targets(_of_the_model(stage.node)), where=stage.name)
        try:
            check_room(waiting)
        except InputError as error:  # an estimate, which keeps nobody from trying
            log.warning("%s", error)


def _of_the_model(node: dict[str, Any]) -> dict[str, Any]:
    """What a training's node gives to its model: not what trains it, which may write whatever it likes."""
    beside = {"_target_", "augmentation", "callbacks", "data", "held_out", "loggers", "trainer"}
    return {name: value for name, value in node.items() if name not in beside}


def _with_downstream(plan: Plan, names: Collection[str]) -> set[str]:
    if unknown := sorted(set(names) - plan.stages.keys()):
        raise InputError(f"There is no stage {unknown[0]} in this plan; its stages are {', '.join(plan.stages)}.")
    again = set(names)
    for stage in plan.stages.values():
        again |= {stage.name} if again & stage.upstream.keys() else set()
    return again


def _run_stage(
    stage: PlannedStage, *, card: dict[str, Any], head: str, after: float | None
) -> tuple[dict[str, Any], bool]:
    """The stage's record, and whether it was served from the store."""
    if (record := _finished(stage, after)) is not None:
        log.info("%s: %s", head, cached(record))
        return record, True
    with locked(stage.folder) as lock:
        if (record := _finished(stage, after)) is not None:  # another job has computed it while this one waited
            log.info("%s: computed by another job", head)
            return record, True
        log.info("%s: running", head)
        with replacing(stage.folder, anew=after is not None):
            record = _compute(stage, card=card, lock=lock)
        log.info("%s: done in %.1f s on %s", head, record["wall_seconds"], record["device"])
    return record, False


def _finished(stage: PlannedStage, after: float | None) -> dict[str, Any] | None:
    path = stage.folder / RECORD
    old = after is not None and (not path.is_file() or path.stat().st_mtime < after)
    return None if old else stage.record()


def _compute(stage: PlannedStage, *, card: dict[str, Any], lock: int | None) -> dict[str, Any]:
    described = {"stage": stage.name, "key": stage.key, "node": stage.node, "upstream": stage.upstream}
    sweep(stage.folder)
    begun = _begin(stage, described)
    software = {**provenance(), "sources": source_hashes([stage.node, *_models(stage.bindings)])}
    start = time.perf_counter()
    with explained(stage.name, stage.folder, stage.reads()):
        outcome = _execute(stage.node, stage.bindings, folder=stage.folder, lock=lock)
        known = {**described, "bindings": _portable(stage.bindings), **begun, **outcome}
        record = {
            **known,
            "card": derived(card, known, store=stage.folder.parent),
            "wall_seconds": round(time.perf_counter() - start, 3),
            "items": items(stage),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            **software,
        }
        _hand_on(record["card"], stage.folder / MODEL)
        record |= listed(stage.folder)
    write_json(stage.folder / RECORD, record)
    return record


def _begin(stage: PlannedStage, described: dict[str, Any]) -> dict[str, int]:
    """Write `node.json`, and say when a killed call went before with another number of threads, which is returned."""
    now, before = threads(stage.node, count=processes(stage.node)), read_mapping(stage.folder / NODE).get("threads")
    write_json(stage.folder / NODE, {**described, "threads": now})
    if now is None or not isinstance(before, int) or now == before:
        return {}
    log.warning(
        "%s was begun with %d threads and goes on with %d: its bits are not those of either number alone; "
        "set OMP_NUM_THREADS=%d to go on as it was begun",
        *(stage.name, before, now, before),
    )
    return {"begun_with_threads": before}


def _hand_on(card: dict[str, Any], model: Path) -> None:
    """Put the supervision card into the description of a model that leaves the store."""
    if model.is_file():
        write_json(model, json.loads(model.read_text()) | {"card": card})


def _execute(node: dict[str, Any], bindings: dict[str, Any], *, folder: Path, lock: int | None) -> CallOutcome:
    bound = bind(arguments(node), bindings)
    return call(bound) if processes(bound) == 1 else call_group(bound, folder=folder, lock=lock)


def _models(bindings: dict[str, Any]) -> list[Any]:
    """Descriptions of the models that a stage is given: what they are built of computes its result, too."""
    found: list[Any] = []
    for place in bindings.values():
        with suppress(OSError, ValueError):  # what is no model, or a damaged one, is told by the stage that reads it
            found.append(json.loads((Path(str(place)) / MODEL).read_text(encoding="utf-8")))
    return found


def _portable(bindings: dict[str, Any]) -> dict[str, Any]:
    """Bindings as a record keeps them: artifacts by folder name, so that a store may be moved as a whole."""
    inside = {token: Path(value).name for token, value in bindings.items() if token.startswith("<artifact:")}
    return {token: value for token, value in bindings.items() if token != OUT_DIR} | inside


def rerun(path: Path, *, out_dir: Path | None = None, trust: Collection[str] = ()) -> Metrics:
    """Run a stage again from its `stage.json` alone, into `out_dir` (default: `STAGE-rerun` beside it).

    Nothing of the finished stage is touched, so that the two folders can be compared. A record can come from anywhere:
    code of other packages than this one is called only where `trust` names them.
    """
    record = read_record(path.parent) if path.name == RECORD else None
    if record is None:
        raise InputError(f"{path} is no finished stage's {RECORD}: give the path of one.")
    with trusting(trust):
        return _rerun(check_record(record, path), path, out_dir)


def _rerun(record: dict[str, Any], path: Path, out_dir: Path | None) -> Metrics:
    folder = path.resolve().parent
    target = (out_dir or folder.with_name(f"{folder.name}-rerun")).resolve()
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise InputError(f"{target} is in use: delete it, or give another --out-dir.")
    node = with_current_targets(record["node"])
    check_node(arguments(node), where=record["stage"])
    bindings = _found({**record, "node": node}, store=folder.parent) | {OUT_DIR: str(target)}
    check_calls(bind(node, bindings), path)
    if changed := changed_sources(record):
        log.warning("the code has changed since: %s", ", ".join(changed))
    target.mkdir(parents=True, exist_ok=True)
    return dict(_execute(node, bindings, folder=target, lock=None)["metrics"])


def _found(record: dict[str, Any], *, store: Path) -> dict[str, Any]:
    """The bindings of a record with artifacts as paths; all that the stage read must still be what it was."""
    bindings = dict(record["bindings"])
    for token, place in bindings.items():
        kind, _, fingerprint = token.strip("<>").partition(":")
        if kind == "artifact":
            bindings[token] = str(store / place)
            there = read_whole(store / place) is not None
        else:
            there = kind not in FINGERPRINTS or _fingerprint(token, Path(place), record["node"], store) == fingerprint
        if not there:
            raise InputError(f"{record['stage']} read {bindings[token]}, which is gone or has changed: put it back.")
    return bindings


def _fingerprint(token: str, path: Path, node: dict[str, Any], store: Path) -> str | None:
    """What stands at `path` today, as `token` of the node named it; None where nothing does."""
    cache = store / ".fingerprints"
    if not path.exists():
        return None
    for reader in readers(node):
        if reader["root"] == token and (reading := reading_of(reader, root=path, asked=words(node))):
            return reading_fingerprint(reading, cache=cache)
    return FINGERPRINTS[token.strip("<>").partition(":")[0]](path, cache=cache)
