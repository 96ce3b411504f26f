"""What a finished stage's folder holds: listed in its record with sizes and hashes, compared whenever it is read."""

import os
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.differences import is_named
from wsss_lightning.pipeline.manifest import sha256
from wsss_lightning.pipeline.store import RECORD, read_record

_LOGS = {"logs", "lightning_logs", "tensorboard", "wandb"}  # of loggers, which may go on writing: no artifacts
_THREADS = min(os.cpu_count() or 1, 4)
_SHOWN = 3

StageRecord = dict[str, Any]


def listed(folder: Path) -> dict[str, dict[str, Any]]:
    """`files`, every artifact's size in bytes, and `hashes`, its SHA-256, for the record of a finished stage.

    A core hashes about 1.4 GB/s, and a few of them work at once: of 20 GB of trunk maps, which take most of an
    hour to compute, that is half a minute. So all of every file is hashed, however large a stage is.
    """
    sizes = dict(sorted(_walk(folder, prefix="")))
    return {"files": sizes, "hashes": _hashes(folder, list(sizes))}


def _walk(folder: Path | str, *, prefix: str) -> Iterator[tuple[str, int]]:
    """Names and sizes of artifacts: all but logs, hidden files and the record itself."""
    for entry in os.scandir(folder):
        if entry.name.startswith(".") or (not prefix and entry.name in {*_LOGS, RECORD}):
            continue
        if entry.is_dir():
            yield from _walk(entry.path, prefix=f"{prefix}{entry.name}/")
        elif entry.is_file():
            yield f"{prefix}{entry.name}", entry.stat().st_size


def _hashes(folder: Path, names: list[str]) -> dict[str, str]:
    with ThreadPoolExecutor(_THREADS) as threads:  # hashlib lets go of the interpreter's lock
        return dict(zip(names, threads.map(lambda name: _sha256(folder / name), names), strict=True))


def _sha256(path: Path) -> str:
    try:
        return sha256(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): see that the disk is sound.") from error


def names(folder: Path) -> list[str]:
    """Artifacts of a stage: those that its record lists or, of a record from before there were lists, all there are."""
    record = read_record(folder)
    if record is None or "files" not in record:
        return sorted(name for name, _ in _walk(folder, prefix=""))
    return list(record["files"])


def lost(record: StageRecord, folder: Path) -> list[str]:
    """Files of a finished stage that are gone or have another size; none of one from before there were lists."""
    if "files" not in record:
        return []
    there = dict(_walk(folder, prefix="")) if folder.is_dir() else {}
    return [name for name, size in record["files"].items() if there.get(name) != size]


def changed(record: StageRecord, folder: Path) -> list[str]:
    """Files that are gone or whose content is another than when the stage finished."""
    gone = set(lost(record, folder))
    hashes: dict[str, str] = record.get("hashes", {})
    now = _hashes(folder, [name for name in hashes if name not in gone])
    return [name for name, before in hashes.items() if name in gone or now[name] != before]


def read_whole(folder: Path) -> StageRecord | None:
    """The record of a finished stage whose files are all there, None where it has not finished.

    Raises:
        InputError: a file is gone or has another size.
    """
    record = read_record(folder)
    if record is not None and (missing := lost(record, folder)):
        raise InputError(
            f"{folder} is damaged: {count_and_first(missing)} of its {len(record['files']):,} files lost or changed "
            f"since it was computed; put back what was there, or compute it again with --fresh {record['stage']}."
        )
    return record


def count_and_first(names: list[str]) -> str:
    """A count of files and the first of them."""
    more = ", ..." if len(names) > _SHOWN else ""
    return f"{len(names):,} ({', '.join(names[:_SHOWN])}{more})"


def verified(store: Path, stages: Collection[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Every finished stage's folder name, `whole`, `damaged` or `without a list of files`, and what is wrong with it.

    `stages`: names or folder names of those to look at; all if there are none. Of a damaged record that is said.

    Raises:
        InputError: there is no such store, or no such stage in it.
    """
    folders = sorted(path.parent for path in store.glob(f"[!.]*/{RECORD}"))
    chosen = [folder for folder in folders if not stages or any(is_named(folder.name, stage) for stage in stages)]
    if not chosen:
        named = " or ".join(stages) or "stage"
        raise InputError(f"{store} holds no finished {named}: give the name of another, or another --store.")
    for folder in chosen:
        yield folder.name, *_verdict(folder)


def _verdict(folder: Path) -> tuple[str, list[str]]:
    try:
        record = read_record(folder)
    except InputError as error:
        return "damaged", [str(error)]
    if record is None or "files" not in record:
        return "without a list of files", []
    wrong = changed(record, folder)
    return ("damaged", [f"{name} is lost or changed" for name in wrong]) if wrong else ("whole", [])
