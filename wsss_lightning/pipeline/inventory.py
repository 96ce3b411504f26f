"""What a store holds, who refers to it, and what can go."""

import os
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsss_lightning.atomic import read_mapping
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.differences import in_words, is_named, tell_apart
from wsss_lightning.pipeline.store import NODE, RECORD, in_progress, locked

_IN_NAME = 16  # digits of a key in the name of a folder
_RUNS = ("logs/*", "sweeps/*/*")  # below a root: folders of runs and of jobs


@dataclass(frozen=True)
class Holding:
    """One stage of a store. `name`: what it is, for reading; `upstream`: folders it read; `finished`: s, or None."""

    folder: Path
    name: str
    upstream: frozenset[str]
    size: int
    finished: float | None


def holdings(store: Path) -> list[Holding]:
    """All stages of a store, finished or not, by folder name; `InputError` where there is no such store."""
    if not store.is_dir():
        raise InputError(f"{store} is no store: give another --store, or run something first.")
    apart = told_apart(stage_folders(store))
    return [_holding(folder, what) for folder, what in sorted(apart.items())]


def stage_folders(store: Path) -> list[Path]:
    """Folders of all stages of a store, finished or not, by name."""
    folders = sorted(path for path in store.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [folder for folder in folders if (folder / NODE).is_file() or (folder / RECORD).is_file()]


def told_apart(folders: Iterable[Path]) -> dict[Path, str]:
    """Of each stage, in which settings it differs from those of its name, `seed=1, k=10`; empty where in none.

    Where it differs by what it reads alone, the settings of that stage are told, if it is one of `folders`.
    """
    named: dict[str, list[Path]] = {}
    for folder in folders:
        named.setdefault(folder.name.rpartition("-")[0], []).append(folder)
    settings: dict[str, dict[str, str]] = {}
    for group in named.values():
        nodes = [_described(folder).get("node") for folder in group]
        differing = tell_apart([node if isinstance(node, dict) else {} for node in nodes])
        settings |= {_key(folder.name): each for folder, each in zip(group, differing, strict=True)}

    def words(key: str, readers: tuple[str, ...] = ()) -> str:
        own = key[:_IN_NAME]
        known = {} if own in readers else settings.get(own, {})  # damaged records may read one another
        return in_words(known, lambda upstream: words(upstream, (*readers, own)))

    return {folder: words(_key(folder.name)) for group in named.values() for folder in group}


def _key(name: str) -> str:
    """Of the name of a stage's folder."""
    return name.rpartition("-")[2]


def _described(folder: Path) -> dict[str, Any]:
    """What a stage is, finished or not; empty where that is damaged: `verify` and whoever needs the stage say so."""
    return read_mapping(folder / RECORD if (folder / RECORD).is_file() else folder / NODE)


def _holding(folder: Path, apart: str) -> Holding:
    finished = (folder / RECORD).stat().st_mtime if (folder / RECORD).is_file() else None
    described = _described(folder)
    node, upstream = described.get("node"), described.get("upstream")
    known = [value for value in upstream.values() if isinstance(value, str)] if isinstance(upstream, dict) else []
    name = _readable(node, apart) if isinstance(node, dict) else "unreadable record"
    files = (Path(place, file) for place, _, names in os.walk(folder) for file in names)
    size = sum(file.lstat().st_size for file in files if file.exists())
    return Holding(folder, name, frozenset(key[:_IN_NAME] for key in known), size, finished)


def _readable(node: dict[str, Any], apart: str) -> str:
    """`points.fit_classifier voc tiny seed=0`: method, function, reader, network and what tells stages apart."""
    parts = str(node.get("_target_", "?")).split(".")
    method = f"{parts[2]}." if parts[1:2] == ["methods"] else ""
    parts = [f"{method}{parts[-1]}"]
    data, backbone = node.get("data"), node.get("backbone")
    if isinstance(data, dict):
        parts.append(".".join(str(data.get("_target_", "?")).split(".")[-2:-1]))
    if isinstance(backbone, dict):
        parts.append(str(backbone.get("_target_", "?")).rpartition(".")[2])
    return " ".join([*parts, *([apart] if apart else [])])


def referring(roots: Iterable[Path]) -> dict[str, list[str]]:
    """By folder name of a stage, the runs and collected tables below `roots` that used it, the latest last."""
    referrers: dict[str, list[str]] = {}
    for root in roots:
        runs = [path for pattern in _RUNS for path in sorted(root.glob(f"{pattern}/stages.json"))]
        tables = sorted((root / "tables").glob("[!.]*.json"))
        named = [(_run_name(path), _of_run(path)) for path in runs] + [(path.stem, _of_table(path)) for path in tables]
        for name, folders in named:
            for folder in folders:
                referrers.setdefault(folder, []).append(name)
    return referrers


def _run_name(path: Path) -> str:
    job = path.parent
    return job.name if job.parent.name == "logs" else f"{job.parent.name}/{job.name}"


def stages_of_run(folder: Path) -> list[str]:
    """Folder names of the stages of a run, or of all jobs of a sweep; none of what is neither."""
    jobs = [*folder.glob("stages.json"), *sorted(folder.glob("*/stages.json"))]
    is_run = any(parent.name in {"logs", "sweeps"} for parent in folder.resolve().parents)
    return list(dict.fromkeys(name for path in jobs for name in _of_run(path))) if is_run else []


def _of_run(path: Path) -> list[str]:
    return [Path(place).name for place in read_mapping(path).values() if isinstance(place, str)]


def _of_table(path: Path) -> list[str]:
    results = [result for row in read_mapping(path).get("rows", []) for result in row.get("results", [])]
    return [f"{stage['name']}-{stage['key'][:16]}" for result in results for stage in result.get("stages", [])]


def unreferenced(held: Sequence[Holding], kept: Collection[str], *, before: float) -> list[Holding]:
    """Finished stages that neither `kept` nor anything that they or unfinished stages read needs.

    Args:
        held: all of a store.
        kept: folder names that something refers to.
        before: in seconds since the epoch; what was finished later stays, since a run may be about to refer to it.
    """
    roots = {item.folder.name for item in held if item.finished is None or item.finished >= before}
    needed = with_upstream(held, roots | set(kept))
    return [item for item in held if item.folder.name not in needed]


def with_upstream(held: Iterable[Holding], names: Iterable[str]) -> set[str]:
    """Folder names with those of all stages that they read, directly or not."""
    by_key = {_key(item.folder.name): item for item in held}
    closure, waiting = set(names), [_key(name) for name in names]
    while waiting:
        item = by_key.get(waiting.pop())
        before = [by_key[key] for key in item.upstream if key in by_key] if item else []
        waiting += [_key(other.folder.name) for other in before if other.folder.name not in closure]
        closure |= {other.folder.name for other in before}
    return closure


def dependents(held: Sequence[Holding], names: Collection[str]) -> list[Holding]:
    """Stages that read one of those in `names`, directly or not, and are not among them."""
    others = [item for item in held if item.folder.name not in names]
    return [item for item in others if with_upstream(held, [item.folder.name]) & {*names}]


def chosen(held: Sequence[Holding], names: Sequence[str]) -> list[Holding]:
    """The stages with these names, folder names or first digits of a key; `InputError` where there is none."""
    stages = []
    for name in names:
        plain = Path(name).name
        matches = [item for item in held if is_named(item.folder.name, plain)]
        if not matches:
            raise InputError(f"The store holds no stage {name}: wsss store ls shows what it holds.")
        stages += matches
    return list(dict.fromkeys(stages))


def remove(held: Iterable[Holding]) -> Iterator[tuple[Holding, bool]]:
    """Delete stages, the record first; yields each with whether it is gone, which one in progress is not."""
    for item in held:
        if in_progress(item.folder):
            yield item, False
            continue
        with locked(item.folder):
            (item.folder / RECORD).unlink(missing_ok=True)
            shutil.rmtree(item.folder)
        yield item, True


def days_ago(days: float) -> float:
    """Seconds since the epoch, so many days before now."""
    return time.time() - days * 86_400
