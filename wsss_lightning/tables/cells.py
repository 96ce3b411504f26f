"""Rows times seeds, planned: what a table needs and what of it has to run."""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from wsss_lightning import pipeline
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.naming import settings
from wsss_lightning.pipeline.planning import looking_once
from wsss_lightning.tables.spec import Heading, Spec, SpecRow

log = logging.getLogger(__name__)
_INTEGERS = re.compile(r"-?\d+(,-?\d+)*")
_RANGE = re.compile(r"range\((-?\d+(?:,-?\d+)?)\)")


@dataclass(frozen=True)
class Cell:
    """One row under one seed, planned; `further`: up to the stages, by name, that fill its further columns."""

    row: str
    seed: int
    overrides: list[str]
    plan: pipeline.Plan
    further: dict[str, pipeline.Plan] = field(default_factory=dict)

    def plans(self) -> Iterator[pipeline.Plan]:
        """All that the row needs, its own first."""
        yield self.plan
        yield from self.further.values()


def split_seeds(overrides: list[str]) -> tuple[list[str], list[int] | None]:
    """Take `seed=0,1,2` or `seed=range(0,3)` (Hydra's sweep syntax) out of overrides; None: no seed is named."""
    others = [override for override in overrides if not override.startswith("seed=")]
    values = [override.removeprefix("seed=") for override in overrides if override.startswith("seed=")]
    return others, _integers(values[-1].replace(" ", "")) if values else None


def _integers(text: str) -> list[int]:
    if match := _RANGE.fullmatch(text):
        seeds = list(range(*(int(part) for part in match[1].split(","))))
    else:
        seeds = [int(part) for part in text.split(",")] if _INTEGERS.fullmatch(text) else []
    if not seeds or len(set(seeds)) < len(seeds):
        raise InputError(f"seed={text}: give different integers, for example seed=0,1,2 or seed=range(0,3).")
    return seeds


def plan_cells(spec: Spec, overrides: list[str]) -> list[Cell]:
    """Plan every row under every seed; what cannot be planned is an `InputError` before anything runs."""
    others, seeds = split_seeds(overrides)
    named = [[f"seed={seed}"] for seed in seeds] if seeds else [[]]
    rows = [row for row in spec.rows if row.experiment is not None]
    several = len({str(row.experiment).partition("/")[0] for row in rows}) > 1
    with looking_once():
        cells = [_plan_cell(row, [*others, *seed], spec.heading, several) for row in rows for seed in named]
    _check_rows_differ(cells, spec)
    return cells


def _check_rows_differ(cells: list[Cell], spec: Spec) -> None:
    """Two rows that compute the same thing are a table that says one of them has no effect."""
    first: dict[str, str] = {}
    for cell in cells:
        row = first.setdefault(cell.plan.final.key, cell.row)
        if row != cell.row:
            raise InputError(
                f"{spec.path}: rows {row!r} and {cell.row!r} compute the same: no stage reads what tells them apart."
            )


def _plan_cell(row: SpecRow, overrides: list[str], heading: Heading, several: bool) -> Cell:
    overrides = [f"experiment={row.experiment}", *row.overrides, *overrides]
    columns = heading.also if row.also is None else row.also
    stages = dict.fromkeys(stage for stage, colon, _ in (name.partition(":") for name in columns) if colon)
    try:
        planned = pipeline.plan(overrides, several=several)
        further = {stage: pipeline.plan([*overrides, f"result={stage}"], several=several) for stage in stages}
    except InputError as error:
        raise InputError(f"{heading.name}, row {row.name!r}: {error}") from error
    return Cell(row=row.name, seed=planned.config["seed"], overrides=overrides, plan=planned, further=further)


def needed(cells: list[Cell]) -> list[tuple[pipeline.PlannedStage, list[str]]]:
    """Every stage once, in an order in which they can run, with the names of the rows that need it."""
    stages: dict[str, pipeline.PlannedStage] = {}
    users: dict[str, list[str]] = {}
    for cell in cells:
        for stage in (stage for plan in cell.plans() for stage in plan.stages.values()):
            stages[stage.key] = stage
            users.setdefault(stage.key, []).append(cell.row)
    return [(stage, list(dict.fromkeys(users[key]))) for key, stage in stages.items()]


def run_missing(cells: list[Cell], table: str = "table") -> dict[str, str]:
    """Run what is missing, row by row; returns a sentence for the key of every row that failed.

    Dashboards show all rows in the group `table`, those that were there, too.
    """
    failures: dict[str, str] = {}
    for cell in cells:
        for plan in cell.plans():
            if (plan.final.record() is None or plan.dashboards) and plan.final.key not in failures:
                log.info("%s, seed %s", cell.row, cell.seed)
                if sentence := _failure(cell, _called(cell, plan, table)):
                    failures[plan.final.key] = sentence
    return failures


def _called(cell: Cell, plan: pipeline.Plan, table: str) -> pipeline.Plan:
    """The plan as dashboards call it."""
    if not plan.dashboards:
        return plan
    further = "" if plan is cell.plan else f" {plan.result}"
    varied = {"row": cell.row, "seed": cell.seed}
    name = f"{cell.row} seed={cell.seed}{further}"
    return plan.called(name=name, group=table, varied=varied, overrides=settings(cell.overrides))


def _failure(cell: Cell, plan: pipeline.Plan) -> str | None:
    """What kept `plan` from running to its end."""
    try:
        pipeline.run(plan)
    except InputError as error:
        return str(error)
    except Exception as error:  # whatever a stage raises, the other rows go on
        log.exception("%s, seed %s failed", cell.row, cell.seed)
        return f"{type(error).__name__}: {error}"
    return None
