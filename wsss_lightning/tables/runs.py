"""What a row of a report leads to: the commands that compute it again, its stages, their keys and their records."""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from wsss_lightning.pipeline.store import RECORD
from wsss_lightning.tables.results import Result, Row, StageRun


@dataclass(frozen=True)
class Link:
    """A stage and the address of its record, seen from the page; None where it has none."""

    stage: StageRun
    href: str | None


@dataclass(frozen=True)
class Run:
    """One row under one seed: `command` computes it again, `rerun` its last stage alone, None without a record."""

    result: Result
    command: str
    rerun: str | None
    record: str | None
    stages: list[Link]


def runs(row: Row, store: Path, root: Path, *, linked: bool) -> list[Run]:
    """The runs of a row that have a number.

    Args:
        row: of a table.
        store: where its stages are.
        root: the folder that addresses are relative to.
        linked: whether the page will lie in `root`; records of one that may go anywhere are not addressed.
    """
    return [_run(result, store, root if linked else None) for result in row.measured]


def _run(result: Result, store: Path, root: Path | None) -> Run:
    record = store / result.folder / RECORD
    return Run(
        result=result,
        command=shlex.join(["wsss", "run", *result.overrides]),
        rerun=shlex.join(["wsss", "rerun", str(record)]) if record.is_file() else None,
        record=_href(record, root),
        stages=[Link(stage, _href(store / f"{stage.name}-{stage.key[:16]}" / RECORD, root)) for stage in result.stages],
    )


def _href(record: Path, root: Path | None) -> str | None:
    """A relative address, so that a root that is moved as a whole, report included, keeps its links."""
    if root is None or not record.is_file():
        return None
    return quote(Path(os.path.relpath(record, root)).as_posix())
