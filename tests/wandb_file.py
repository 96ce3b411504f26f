"""Reads back what an offline run of W&B wrote: a `.wandb` file is a log of blocks of 32 KiB with protocol buffers."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

_BLOCK, _FILE_HEADER, _HEADER = 32768, 7, 7
_FULL, _LAST = 1, 4


@dataclass
class WandbFile:
    """One offline run."""

    name: str = ""
    group: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    step_of: dict[str, str] = field(default_factory=dict)
    system: set[str] = field(default_factory=set)
    exit_code: int | None = None

    def curve(self, name: str) -> list[tuple[float, float]]:
        """(x, value) along the axis that the metric was defined with."""
        return [(row[self.step_of[name]], row[name]) for row in self.history if name in row]


def read_runs(folder: Path) -> list[WandbFile]:
    """All offline runs below a folder, in the order of their ids' times."""
    return [_read(path) for path in sorted(folder.rglob("*.wandb"), key=lambda path: path.stat().st_mtime_ns)]


def _read(path: Path) -> WandbFile:
    run = WandbFile()
    for content in _records(path.read_bytes()):
        _take(Record.FromString(content), run)
    return run


def _records(content: bytes) -> Iterator[bytes]:
    """The records of a log in the form of LevelDB's: pieces with checksum, length and kind, none across two blocks."""
    assert content[:4] == b":W&B"
    place, whole = _FILE_HEADER, b""
    while place + _HEADER <= len(content):
        if _BLOCK - place % _BLOCK < _HEADER:
            place += _BLOCK - place % _BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + _HEADER])
        place += _HEADER
        whole += content[place : place + length]
        place += length
        if kind in (_FULL, _LAST):
            yield whole
            whole = b""


def _take(record: Any, run: WandbFile) -> None:
    kind = record.WhichOneof("record_type")
    if kind == "run":
        run.name, run.group, run.tags = record.run.display_name, record.run.run_group, list(record.run.tags)
        run.config |= _values(record.run.config.update)
    elif kind == "config":
        run.config |= _values(record.config.update)
    elif kind == "summary":
        run.summary |= _values(record.summary.update)
    elif kind == "history":
        run.history.append(_values(record.history.item))
    elif kind == "metric" and record.metric.step_metric:
        run.step_of[record.metric.name] = record.metric.step_metric
    elif kind == "stats":
        run.system |= {item.key for item in record.stats.item}
    elif kind == "exit":
        run.exit_code = record.exit.exit_code


def _values(items: Any) -> dict[str, Any]:
    return {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}
