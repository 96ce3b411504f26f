"""What a collected table holds, and the JSON file that keeps it. Values are fractions; the paper's are per cent."""

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.store import write_json

COMPUTED, CHANGED, COMMITTED, MISSING, FAILED = "computed", "code changed", "committed", "missing", "failed"
IOU = "val/iou/"


@dataclass(frozen=True)
class StageRun:
    """One stage behind a result; `wall_seconds` is None where its record is gone."""

    name: str
    key: str
    wall_seconds: float | None


@dataclass(frozen=True)
class Result:
    """One row under one seed.

    `key` and `folder` are those of the stage that ends it; `status` is one of the five above, `detail` says what
    changed, which commit, or why it failed; `value` and `iou` (per class) are fractions, None where there is none.
    """

    seed: int
    overrides: list[str]
    key: str
    folder: str
    status: str
    detail: str
    value: float | None
    iou: dict[str, float | None]
    stages: list[StageRun]
    wall_seconds: float
    device: str | None
    cores: int | None
    commit: str | None
    date: str | None
    packages: dict[str, str]
    card: dict[str, Any]


@dataclass(frozen=True)
class Difference:
    """A row minus the reference row, mean over their common seeds; the interval is None without per-image matrices."""

    value: float
    low: float | None
    high: float | None
    seeds: list[int]
    images: int | None


@dataclass(frozen=True)
class Row:
    """One row with the results of all its seeds; `std` is the sample standard deviation over seeds."""

    name: str
    experiment: str | None
    overrides: list[str]
    paper: dict[str, float]
    footnote: str | None
    results: list[Result]
    mean: float | None
    std: float | None
    difference: Difference | None

    @property
    def measured(self) -> list[Result]:
        """The results that have a number."""
        return [result for result in self.results if result.value is not None]

    def class_iou(self) -> dict[str, float | None]:
        """IoU per class, mean over the seeds in which the class occurs."""
        names = list(dict.fromkeys(name for result in self.measured for name in result.iou))
        values = {name: [result.iou.get(name) for result in self.measured] for name in names}
        return {name: _mean([value for value in column if value is not None]) for name, column in values.items()}


@dataclass(frozen=True)
class Table:
    """A paper's table beside ours; `store` is where results' folders lie, seen from the folder above the file's."""

    name: str
    title: str
    source: str
    metric: str
    setting: str
    comparable: bool
    scale: str
    reference: str | None
    footnotes: list[str]
    notes: list[str]
    data: str
    backbone: str
    overrides: list[str]
    seeds: list[int]
    command: str
    collected: str
    store: str | None
    rows: list[Row]


def summarised(row: Row) -> Row:
    """`row` with mean and sample standard deviation (ddof = 1) of the results that have a number."""
    values = [result.value for result in row.results if result.value is not None]
    return replace(row, mean=_mean(values), std=stdev(values) if len(values) > 1 else None)


def number(value: Any) -> float | None:
    """A metric as a float; JSON has no nan, so None stands for it."""
    return None if value is None or math.isnan(value) else float(value)


def write_table(path: Path, table: Table) -> None:
    """Write a collected table as JSON, atomically."""
    write_json(path, asdict(table))


def read_table(path: Path) -> Table:
    """Read what `write_table` wrote; anything else is an `InputError`."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Table(**content | {"rows": [_row(item) for item in content["rows"]]})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} is no table of this version ({error}): delete it and run `wsss table` again.") from None


def _row(item: dict[str, Any]) -> Row:
    difference = None if item["difference"] is None else Difference(**item["difference"])
    return Row(**item | {"results": [_result(result) for result in item["results"]], "difference": difference})


def _result(item: dict[str, Any]) -> Result:
    return Result(**item | {"stages": [StageRun(**stage) for stage in item["stages"]]})


def _mean(values: list[float]) -> float | None:
    return fmean(values) if values else None
