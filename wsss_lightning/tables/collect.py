"""From a table's rows to the records that the store holds for them; nothing is looked up by anything but its key."""

import hashlib
import json
import logging
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from wsss_lightning import pipeline
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.configuration import project_folder
from wsss_lightning.pipeline.store import changed_sources
from wsss_lightning.tables.committed import Committed, read_committed, without_folders
from wsss_lightning.tables.differences import difference
from wsss_lightning.tables.results import (
    CHANGED,
    COMPUTED,
    FAILED,
    IOU,
    MISSING,
    Result,
    Row,
    StageRun,
    Table,
    number,
    summarised,
    write_table,
)
from wsss_lightning.tables.spec import Spec, SpecRow

log = logging.getLogger(__name__)
_INTEGERS = re.compile(r"-?\d+(,-?\d+)*")
_RANGE = re.compile(r"range\((-?\d+(?:,-?\d+){0,2})\)")


@dataclass(frozen=True)
class Cell:
    """One row under one seed, planned."""

    row: SpecRow
    seed: int
    overrides: list[str]
    plan: pipeline.Plan


def split_seeds(overrides: list[str]) -> tuple[list[str], list[int] | None]:
    """Take `seed=0,1,2` or `seed=range(0,3)` (Hydra's sweep syntax) out of overrides; None: no seed is named."""
    others = [override for override in overrides if not override.startswith("seed=")]
    values = [override.removeprefix("seed=").replace(" ", "") for override in overrides if override not in others]
    if not values:
        return others, None
    if match := _RANGE.fullmatch(values[-1]):
        seeds = list(range(*(int(part) for part in match[1].split(","))))
    elif _INTEGERS.fullmatch(values[-1]):
        seeds = [int(part) for part in values[-1].split(",")]
    else:
        seeds = []
    if not seeds or len(set(seeds)) < len(seeds):
        raise InputError(f"seed={values[-1]}: give different integers, for example seed=0,1,2 or seed=range(0,3).")
    return others, seeds


def plan_cells(spec: Spec, overrides: list[str]) -> list[Cell]:
    """Plan every row under every seed; what cannot be planned is an `InputError` before anything runs."""
    others, seeds = split_seeds(overrides)
    return [
        _plan_cell(row, [f"experiment={row.experiment}", *row.overrides, *others], seed, spec)
        for row in spec.rows
        if row.experiment is not None
        for seed in (seeds or [None])
    ]


def _plan_cell(row: SpecRow, overrides: list[str], seed: int | None, spec: Spec) -> Cell:
    overrides = overrides if seed is None else [*overrides, f"seed={seed}"]
    try:
        planned = pipeline.plan(overrides)
    except InputError as error:
        raise InputError(f"{spec.name}, row {row.name!r}: {error}") from error
    return Cell(row, planned.config["seed"] if seed is None else seed, overrides, planned)


def needed(cells: list[Cell]) -> list[tuple[pipeline.PlannedStage, list[str]]]:
    """Every stage once, in an order in which they can run, with the names of the rows that need it."""
    stages = {stage.key: stage for cell in cells for stage in cell.plan.stages.values()}
    rows: dict[str, dict[str, None]] = {key: {} for key in stages}
    for cell in cells:
        for stage in cell.plan.stages.values():
            rows[stage.key][cell.row.name] = None
    return [(stage, list(rows[key])) for key, stage in stages.items()]


def run_missing(cells: list[Cell]) -> dict[str, str]:
    """Run what is missing row by row; returns a sentence for the key of every row that failed."""
    failures: dict[str, str] = {}
    for cell in cells:
        final = cell.plan.final
        if final.record() is None and final.key not in failures:
            log.info("%s, seed %s", cell.row.name, cell.seed)
            try:
                pipeline.run(cell.plan)
            except InputError as error:
                failures[final.key] = str(error)
            except Exception as error:  # whatever a stage raises, the other rows go on
                log.exception("%s, seed %s failed", cell.row.name, cell.seed)
                failures[final.key] = f"{type(error).__name__}: {error}"
    return failures


def collect(
    spec: Spec,
    overrides: list[str],
    cells: list[Cell],
    *,
    failures: Mapping[str, str] | None = None,
    notes: list[str] | None = None,
) -> Table:
    """Look up every cell's record, or the committed result of exactly the same key, and summarise the rows."""
    root, store = table_root(cells, overrides), cells[0].plan.final.folder.parent if cells else None
    committed = read_committed(spec.path.parent / "results")
    result = partial(_result, spec=spec, committed=committed, failures=failures or {})
    rows = [_row(row, [result(cell) for cell in cells if cell.row is row]) for row in spec.rows]
    others, _ = split_seeds(overrides)
    chosen = {group: choice(group, others) for group in ("data", "backbone", *spec.choices)}
    return Table(
        name=spec.name,
        title=spec.title,
        source=spec.source,
        metric=spec.metric,
        setting=spec.setting,
        comparable=all(chosen[group] == name for group, name in spec.choices.items()),
        scale=spec.scale,
        reference=spec.reference,
        footnotes=spec.footnotes,
        notes=notes or [],
        data=chosen["data"],
        backbone=chosen["backbone"],
        overrides=overrides,
        seeds=list(dict.fromkeys(cell.seed for cell in cells)),
        command=command(spec, overrides, notes or []),
        collected=datetime.now(UTC).isoformat(timespec="seconds"),
        store=None if store is None else os.path.relpath(store, root),
        rows=_compared(rows, spec, store, committed),
    )


def command(spec: Spec, overrides: list[str], notes: list[str]) -> str:
    """The command line that computes, collects and saves the table."""
    marks = [part for note in notes for part in ("--note", note)]
    return shlex.join(["wsss", "table", spec.name, *overrides, "--run", "--save", *marks])


def choice(group: str, overrides: list[str]) -> str:
    """The file that overrides select in a config group, else the one in `conf/config.yaml`'s defaults list."""
    for override in reversed(overrides):
        if override.startswith(f"{group}="):
            return override.partition("=")[2]
    content = yaml.safe_load((project_folder("conf") / "config.yaml").read_text(encoding="utf-8"))
    found = [item[group] for item in content["defaults"] if isinstance(item, dict) and group in item]
    return str(found[-1]) if found else "none"


def table_root(cells: list[Cell], overrides: list[str]) -> Path:
    """`paths.root` of the rows' config."""
    config = pipeline.compose(cells[0].overrides if cells else split_seeds(overrides)[0])
    return Path(str(config.paths.root))


def write_snapshot(table: Table, root: Path) -> Path:
    """Keep a collected table below `root/tables`, one file per table and overrides, where `wsss report` finds it."""
    digest = hashlib.sha256(json.dumps(table.overrides).encode()).hexdigest()[:8]
    path = root / "tables" / f"{table.name.replace('/', '-')}-{digest}.json"
    write_table(path, table)
    return path


def _row(row: SpecRow, results: list[Result]) -> Row:
    fields = {"mean": None, "std": None, "difference": None}
    plain = {"name": row.name, "experiment": row.experiment, "overrides": row.overrides}
    return summarised(Row(**plain, paper=row.paper, footnote=row.footnote, results=results, **fields))  # type: ignore


def _compared(rows: list[Row], spec: Spec, store: Path | None, committed: Committed) -> list[Row]:
    reference = next((row for row in rows if row.name == spec.reference), None)
    if reference is None or store is None:
        return rows
    return [
        row
        if row is reference
        else replace(row, difference=difference(row, reference, metric=spec.metric, store=store, committed=committed))
        for row in rows
    ]


def _result(cell: Cell, *, spec: Spec, committed: Committed, failures: Mapping[str, str]) -> Result:
    final = cell.plan.final
    record = final.record()
    if record is not None:
        return _computed(cell, record, spec)
    if final.key in failures:
        return _empty(cell, FAILED, failures[final.key])
    return committed.results.get(final.key) or _empty(cell, MISSING, "")


def _computed(cell: Cell, record: dict[str, Any], spec: Spec) -> Result:
    metrics = record["metrics"]
    if spec.metric not in metrics:
        raise InputError(f"{spec.path}: {cell.plan.result} reports no {spec.metric}, only {', '.join(metrics)}.")
    records = {stage.name: stage.record() for stage in cell.plan.stages.values()}
    changed = sorted({file for found in records.values() if found for file in changed_sources(found)})
    seconds = {name: found["wall_seconds"] for name, found in records.items() if found}
    return replace(
        _empty(cell, CHANGED if changed else COMPUTED, ", ".join(changed)),
        value=number(metrics[spec.metric]),
        iou={name.removeprefix(IOU): number(value) for name, value in metrics.items() if name.startswith(IOU)},
        stages=[StageRun(s.name, s.key, seconds.get(s.name)) for s in cell.plan.stages.values()],
        wall_seconds=round(sum(seconds.values()), 3),
        device=record["device"],
        cores=record["cores"],
        commit=record["commit"],
        date=record["finished"],
        packages=record["packages"],
        card=without_folders(record["card"]),
    )


def _empty(cell: Cell, status: str, detail: str) -> Result:
    return Result(
        seed=cell.seed,
        overrides=cell.overrides,
        key=cell.plan.final.key,
        folder=cell.plan.final.folder.name,
        status=status,
        detail=detail,
        value=None,
        iou={},
        stages=[],
        wall_seconds=0.0,
        device=None,
        cores=None,
        commit=None,
        date=None,
        packages={},
        card={},
    )
