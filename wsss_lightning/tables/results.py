"""What a collected table holds, and the JSON file that keeps it. Values are fractions; the paper's are per cent."""

import json
import math
import shlex
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from wsss_lightning.atomic import replace_file, write_json
from wsss_lightning.errors import InputError
from wsss_lightning.tables.spec import Heading

COMPUTED, CHANGED, COMMITTED, MISSING, FAILED = "computed", "code changed", "committed", "missing", "failed"


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
    changed, which commit, or why it failed; `value`, `iou` (per class) and `also` (the table's further metrics) are
    fractions, None where there is none; `also` holds `seconds` and `gigabytes` of a row, too.
    """

    seed: int
    overrides: list[str]
    key: str
    folder: str
    status: str
    detail: str = ""
    value: float | None = None
    iou: dict[str, float | None] = field(default_factory=dict)
    also: dict[str, float | None] = field(default_factory=dict)
    stages: list[StageRun] = field(default_factory=list)
    wall_seconds: float | None = None
    device: str | None = None
    cores: int | None = None
    commit: str | None = None
    date: str | None = None
    packages: dict[str, str] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Difference:
    """A row minus the reference row, mean over their common seeds; the interval is None without per-image matrices.

    `over_seeds`: whether the interval covers the choice of seeds, too; files written before it did say nothing of it.
    """

    value: float
    low: float | None
    high: float | None
    seeds: list[int]
    images: int | None
    over_seeds: bool = False


@dataclass(frozen=True)
class Row:
    """One row with the results of all its seeds; `paper` is per cent, `std` the sample deviation over seeds.

    `x`: where it stands on the table's axis. Defaults of what a spec says are for files written before it was said.
    """

    name: str
    experiment: str | None
    paper: dict[str, float]
    footnote: str | None
    results: list[Result]
    mean: float | None = None
    std: float | None = None
    difference: Difference | None = None
    x: float | None = None

    @property
    def measured(self) -> list[Result]:
        """The results that have a number."""
        return [result for result in self.results if result.value is not None]

    def further(self, metric: str) -> list[float]:
        """The values of one of the table's further metrics, of the seeds that have one."""
        return [value for result in self.measured if (value := result.also.get(metric)) is not None]

    def class_iou(self) -> dict[str, float | None]:
        """The metric per class (IoU where it is a mIoU), mean over the seeds in which the class occurs."""
        names = list(dict.fromkeys(name for result in self.measured for name in result.iou))
        values = {name: [result.iou.get(name) for result in self.measured] for name in names}
        return {name: _mean([value for value in column if value is not None]) for name, column in values.items()}


@dataclass(frozen=True)
class Table:
    """A paper's table beside ours.

    `comparable`: ours are on the paper's data and backbone; `notes`: what the user has to say about all our numbers;
    `store`: where the results' folders lie, seen from `paths.root`, None in a committed file.
    """

    heading: Heading
    data: str
    backbone: str
    comparable: bool
    overrides: list[str]
    seeds: list[int]
    notes: list[str]
    collected: str
    store: str | None
    rows: list[Row]

    @property
    def command(self) -> str:
        """The command line that computes, collects and saves the table."""
        marks = [part for note in self.notes for part in ("--note", note)]
        return shlex.join(["wsss", "table", self.heading.name, *self.overrides, "--run", "--save", *marks])


def summarised(row: Row) -> Row:
    """`row` with mean and sample standard deviation (ddof = 1) of the results that have a number."""
    values = [result.value for result in row.results if result.value is not None]
    return replace(row, mean=_mean(values), std=stdev(values) if len(values) > 1 else None)


def number(value: Any) -> float | None:
    """A metric as a float; JSON has no nan, so None stands for it."""
    return None if value is None or math.isnan(value) else float(value)


def short_commit(commit: str | None) -> str:
    """Seven digits, and the `+` of a checkout with changes; `-` where none is known."""
    return "-" if commit is None else commit[:7] + ("+" if commit.endswith("+") else "")


def write_table(path: Path, table: Table) -> None:
    """Write a collected table as JSON, atomically."""
    write_json(path, asdict(table))


def as_json(table: Table) -> str:
    """A collected table as its JSON file holds it."""
    return json.dumps(asdict(table), indent=2)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_table(path: Path) -> Table:
    """Read what `write_table` wrote; anything else is an `InputError`."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = [_row(item) for item in content["rows"]]
        return Table(**content | {"heading": Heading(**content["heading"]), "rows": rows})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} is no table of this version ({error}): delete it, run `wsss table` again.") from None


def _row(item: dict[str, Any]) -> Row:
    difference = None if item["difference"] is None else Difference(**item["difference"])
    return Row(**item | {"results": [_result(result) for result in item["results"]], "difference": difference})


def _result(item: dict[str, Any]) -> Result:
    return Result(**item | {"stages": [StageRun(**stage) for stage in item["stages"]]})


def _mean(values: list[float]) -> float | None:
    return fmean(values) if values else None
