"""From planned cells to the records that the store holds for them; nothing is looked up by anything but its key."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wsss_lightning import pipeline
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.store import changed_sources, read_record
from wsss_lightning.tables.cells import Cell, split_seeds
from wsss_lightning.tables.committed import Committed, read_committed
from wsss_lightning.tables.differences import difference
from wsss_lightning.tables.results import (
    CHANGED,
    COMPUTED,
    FAILED,
    MISSING,
    Result,
    Row,
    StageRun,
    Table,
    number,
    summarised,
    write_table,
)
from wsss_lightning.tables.saving import results_folder, without_folders
from wsss_lightning.tables.spec import Heading, Spec, SpecRow


def collect(
    spec: Spec, overrides: list[str], cells: list[Cell], *, root: Path, failures: Mapping[str, str], notes: list[str]
) -> Table:
    """Look up every cell's record, or the committed result of exactly the same key, and summarise the rows.

    Args:
        spec: the paper's table.
        overrides: what the user gave, seeds included.
        cells: `plan_cells(spec, overrides)`.
        root: `output_root(overrides, cells)`.
        failures: sentence by key of the cells that were run and failed.
        notes: footnotes on all our numbers.
    """
    heading = spec.heading
    # Of the first row: its experiment's method has settings of its own and may choose another backbone.
    chosen = cells[0].plan.choices if cells else pipeline.choices(split_seeds(overrides)[0])
    return Table(
        heading=heading,
        data=chosen["data"],
        backbone=chosen["backbone"],
        comparable=all(chosen.get(group) == name for group, name in heading.choices.items()),
        overrides=overrides,
        seeds=sorted({cell.seed for cell in cells}),
        notes=notes,
        collected=datetime.now(UTC).isoformat(timespec="seconds"),
        store=os.path.relpath(_store(cells), root) if cells else None,
        rows=_rows(spec, cells, failures),
    )


def _rows(spec: Spec, cells: list[Cell], failures: Mapping[str, str]) -> list[Row]:
    committed = read_committed(spec.path.parent / "results", results_folder(spec.path))
    rows = []
    for row in spec.rows:
        results = [_result(cell, row, spec.heading, committed, failures) for cell in cells if cell.row == row.name]
        rows.append(summarised(Row(row.name, row.experiment, row.paper, row.footnote, results, x=row.x)))
    reference = next((row for row in rows if row.name == spec.heading.reference), None)
    if reference is None or not cells:
        return rows
    metric, store = spec.heading.metric, _store(cells)
    for place, ours in enumerate(rows):
        if ours is not reference:
            change = difference(ours, reference, metric=metric, store=store, committed=committed)
            rows[place] = replace(ours, difference=change)
    return rows


def _store(cells: list[Cell]) -> Path:
    return cells[0].plan.final.folder.parent


def output_root(overrides: list[str], cells: list[Cell]) -> Path:
    """`paths.root` under the overrides: everything that is written lies below it."""
    return cells[0].plan.root if cells else Path(str(pipeline.compose(split_seeds(overrides)[0]).paths.root))


def write_snapshot(table: Table, root: Path) -> Path:
    """Keep a collected table below `root/tables`, one file per table and overrides, where `wsss report` finds it."""
    digest = hashlib.sha256(json.dumps(table.overrides).encode()).hexdigest()[:8]
    path = root / "tables" / f"{table.heading.name.replace('/', '-')}-{digest}.json"
    write_table(path, table)
    return path


def _result(cell: Cell, row: SpecRow, heading: Heading, committed: Committed, failures: Mapping[str, str]) -> Result:
    final = cell.plan.final
    blank = Result(cell.seed, cell.overrides, final.key, final.folder.name, MISSING)
    record = final.record()
    if record is not None:
        return _computed(blank, record, cell, row, heading)
    if final.key in failures:
        return replace(blank, status=FAILED, detail=failures[final.key])
    return committed.result(blank)


def _computed(blank: Result, record: dict[str, Any], cell: Cell, row: SpecRow, heading: Heading) -> Result:
    metrics, prefix, metric = record["metrics"], heading.per_class, row.metric or heading.metric
    columns = heading.also if row.also is None else row.also
    stages = {stage.key: stage for plan in cell.plans() for stage in plan.stages.values()}
    records = {key: stored for key, stage in stages.items() if (stored := read_record(stage.folder))}
    value = _metric(metrics, metric, cell.plan.result, heading)
    changed = sorted({file for stored in records.values() for file in changed_sources(stored)})
    seconds = {key: stored["wall_seconds"] for key, stored in records.items()}
    return replace(
        blank,
        status=CHANGED if changed else COMPUTED,
        detail=", ".join(changed),
        value=value,
        iou={name.removeprefix(prefix): number(value) for name, value in metrics.items() if name.startswith(prefix)},
        also={name: _column(name, cell, list(records.values()), heading) for name in columns},
        stages=[StageRun(stage.name, key, seconds.get(key)) for key, stage in stages.items()],
        wall_seconds=round(sum(seconds.values()), 3),
        device=record["device"],
        cores=record["cores"],
        commit=record["commit"],
        date=record["finished"],
        packages=record["packages"],
        card=without_folders(record["card"]),
    )


def _column(name: str, cell: Cell, records: list[dict[str, Any]], heading: Heading) -> float | None:
    """What stands in a further column of a row; None where its stage has not run."""
    if name == "seconds":
        return float(sum(record["wall_seconds"] for record in records))
    if name == "gigabytes":
        return max(record["peak_memory_bytes"] or 0 for record in records) / 1e9
    stage, colon, metric = name.partition(":")
    plan = cell.further[stage] if colon else cell.plan
    record = plan.final.record()
    return None if record is None else _metric(record["metrics"], metric if colon else name, plan.result, heading)


def _metric(metrics: dict[str, Any], name: str, stage: str, heading: Heading) -> float | None:
    if name not in metrics:
        raise InputError(
            f"{heading.name}: {stage} reports no {name}, only {', '.join(metrics)}: name one "
            f"of these, or compute it anew with `wsss run ... --fresh {stage}` where older code did."
        )
    return number(metrics[name])
