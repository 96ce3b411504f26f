"""What stages will cost, by what their nearest like in the same store took: time, and room on the disk."""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.configuration import bind, data_sets
from wsss_lightning.pipeline.identity import TRAINS
from wsss_lightning.pipeline.planning import PlannedStage
from wsss_lightning.pipeline.readings import reading_of, words
from wsss_lightning.pipeline.signatures import signature_of
from wsss_lightning.pipeline.store import NODE, RECORD, read_record

_LATEST = 20  # stages of a name that are compared


@dataclass(frozen=True)
class Cost:
    """Of one stage; None where nothing tells. `items`: images that it looks at."""

    items: int | None
    seconds: float | None
    bytes: int | None


def costs(stages: Iterable[PlannedStage]) -> list[Cost]:
    """Of stages of a plan, or of several plans, upstream first: see `cost`."""
    known: dict[str, int | None] = {}
    told = []
    for stage in stages:
        told.append(cost(stage, known))
        known[stage.name] = told[-1].items
    return told


def cost(stage: PlannedStage, known: Mapping[str, int | None] = MappingProxyType({})) -> Cost:
    """By the finished stage of the same function that differs in the fewest settings, the latest of several.

    Time and room grow with the number of images; those of a training of so many steps with its settings alone.
    `known`: `items` of stages that this one reads and that have not finished.
    """
    own, like = items(stage, known), _nearest(stage)
    if like is None:
        return Cost(own, None, None)
    by_steps = TRAINS in stage.node and not (stage.node.get("epochs") and not stage.node.get("steps"))
    before = None if by_steps else like.get("items")
    factor = own / before if own and before else 1.0
    size = sum(like.get("files", {}).values())
    return Cost(own, factor * float(like["wall_seconds"]), round(factor * size))


def items(stage: PlannedStage, known: Mapping[str, int | None] = MappingProxyType({})) -> int | None:
    """How many images a stage looks at; None where nothing tells yet.

    By the lists of its data, else the most that a stage looked at which it reads, or will by `known`.
    """
    own = _listed(stage)
    if own is not None:
        return own
    before = [known.get(name) or _recorded(folder) for name, folder in zip(stage.upstream, stage.reads(), strict=True)]
    return max((count for count in before if count), default=None)


def _recorded(folder: Path) -> int | None:
    try:
        record = read_record(folder)
    except InputError:  # whoever needs that stage is told
        return None
    return record.get("items") if record else None


def _listed(stage: PlannedStage) -> int | None:
    node = stage.node
    named = node.get("splits") or [node.get("split") or ("train" if TRAINS in node else None)]
    data = node.get("source") if TRAINS in node and isinstance(node.get("source"), dict) else node.get("data")
    reader = next(iter(data_sets(data)), None)
    if reader is None or None in named:
        return None
    signature = signature_of(str(reader["_target_"]))
    given = {**(signature.defaults if signature else {}), **reader}
    try:
        root = Path(str(bind(reader["root"], stage.bindings)))
        reading = reading_of(given, root=root, asked=words(node) | {*named}) if root.is_dir() else None
        count = getattr(reading, "count", None)
        return None if count is None else sum(count(given.get(f"{split}_list") or split) for split in named)
    except InputError:  # whoever reads the data is told
        return None


def _nearest(stage: PlannedStage) -> dict[str, Any] | None:
    paths = list(stage.folder.parent.glob(f"{stage.name}-*/{RECORD}"))
    latest = sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)[:_LATEST]
    alike = [(far, path) for path in latest if (far := _distance(stage, path.with_name(NODE))) is not None]
    for _, path in sorted(alike, key=lambda pair: pair[0]):  # stable: the latest of those that are as near
        try:
            return read_record(path.parent)
        except InputError:  # whoever needs that stage is told
            continue
    return None


def _distance(stage: PlannedStage, path: Path) -> int | None:
    """In how many settings a node differs; None for another function's, or one that cannot be read."""
    try:
        node = json.loads(path.read_text())["node"]
        same = node["_target_"] == stage.node["_target_"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return len({*_leaves(node)} ^ {*_leaves(stage.node)}) if same else None


def _leaves(node: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _leaves(value, f"{name}.{key}")
    else:
        yield name, json.dumps(node)


def estimated(stages: Sequence[PlannedStage]) -> str:
    """`about 3.5 min and 63 GB by earlier runs`, with the names of stages that no run tells of; empty if none does."""
    told = costs(stages)
    unknown = [stage.name for stage, each in zip(stages, told, strict=True) if each.seconds is None]
    if len(unknown) == len(told):
        return ""
    times, sizes = ([getattr(each, name) or 0 for each in told] for name in ("seconds", "bytes"))
    without = f", without {', '.join(dict.fromkeys(unknown))}" if unknown else ""
    return f"about {rounded_time(sum(times))} and {room(sum(sizes))} by earlier runs{without}"


def check_room(stages: Sequence[PlannedStage]) -> None:
    """Raise `InputError` where the store's disk cannot hold what stages will write, as far as that is known."""
    if not stages:
        return
    store, needed = stages[0].folder.parent, sum(each.bytes or 0 for each in costs(stages))
    there = next(folder for folder in (store, *store.parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise InputError(
            f"{store} has room for {room(free)}, and these stages need about {room(needed)}: make room, set paths.root "
            "to another disk, or see docs/scale.md for what can be computed in the place of being stored."
        )


def rounded_time(seconds: float) -> str:
    """Seconds below two minutes, minutes below two hours, else hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def room(size: float) -> str:
    """Bytes in the largest unit that leaves a number of 1 or more."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if size >= 10 or unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
