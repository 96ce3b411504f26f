"""What every rendering of a table says, as text: numbers times 100, marks, and what they mean."""

from collections import Counter
from dataclasses import dataclass
from statistics import fmean, stdev

from wsss_lightning.tables import cards
from wsss_lightning.tables.bootstrap import LEVEL, RESAMPLES
from wsss_lightning.tables.results import CHANGED, COMMITTED, COMPUTED, FAILED, MISSING, Row, Table
from wsss_lightning.tables.spec import COSTS

_CLASS = "/iou/"  # in the name of a class's IoU, on whichever split
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_ORDER = (COMPUTED, CHANGED, COMMITTED, MISSING, FAILED)
_NAMED = 8  # changed files at most that are named one by one


@dataclass(frozen=True)
class RenderedRow:
    """One row of a rendered table: `x` is None where the table has no axis; `paper`, `also` have a number a column."""

    name: str
    x: str | None
    paper: list[str]
    also: list[str]
    ours: str
    difference: str
    status: str

    @property
    def cells(self) -> list[str]:
        """The row's texts under `column_heads`."""
        given = self.paper if self.x is None else [self.x, *self.paper]
        return [self.name, *given, *self.also, self.ours, self.difference, self.status]


def percent(fraction: float | None, *, signed: bool = False) -> str:
    """A fraction times 100 with one decimal; `-` where there is none."""
    if fraction is None:
        return "-"
    value = round(100 * fraction, 1) + 0.0  # no "-0.0"
    return f"{value:+.1f}" if signed else f"{value:.1f}"


def metric(name: str) -> str:
    """A metric's name in prose: `val/miou` is val mIoU."""
    return name.replace("/", " ").replace("miou", "mIoU").replace("iou ", "IoU ").replace("_", " ")


def column_heads(table: Table) -> list[str]:
    """The heads of a rendered table's columns; those between the first and the last two hold numbers."""
    axis = [] if table.heading.axis is None else [table.heading.axis]
    others = [f"paper {name}" for name in _other_metrics(table)]
    also = [name if name in COSTS else f"our {name.replace(':', ', ')}" for name in table.heading.also]
    return ["row", *axis, "paper", *others, *also, "ours", f"difference [{100 * LEVEL:.0f} %]", "status"]


def _other_metrics(table: Table) -> list[str]:
    """What the paper prints besides the table's metric; its IoU per class has no column."""
    names = dict.fromkeys(name for row in table.rows for name in row.paper)
    return [name for name in names if name != table.heading.metric and _CLASS not in name]


def class_columns(table: Table) -> list[tuple[str, dict[str, float | None]]]:
    """The table of values per class, column by column: a row's in the paper, then ours; fractions."""
    columns: list[tuple[str, dict[str, float | None]]] = []
    for row in table.rows:
        paper = {name.partition(_CLASS)[2]: value / 100 for name, value in row.paper.items() if _CLASS in name}
        columns += [(f"{row.name}, paper", dict(paper))] if paper else []
        columns += [(row.name, row.class_iou())] if row.measured else []
    return columns


def class_rows(table: Table) -> list[tuple[str, list[float | None]]]:
    """The same line by line: every class with its value in each of `class_columns`."""
    columns = [values for _, values in class_columns(table)]
    names = dict.fromkeys(name for values in columns for name in values)
    return [(name, [values.get(name) for values in columns]) for name in names]


def caption(table: Table) -> str:
    """What the numbers are."""
    return f"{metric(table.heading.metric)}, per cent: the paper's numbers and ours"


def rendered_rows(table: Table) -> list[RenderedRow]:
    """The rows as text."""
    marks = {row.name: mark for row, mark in _row_marks(table)}
    names = [table.heading.metric, *_other_metrics(table)]
    return [
        RenderedRow(
            name=f"{row.name}{marks.get(row.name, '')}",
            x=None if table.heading.axis is None else "-" if row.x is None else f"{row.x:g}",
            paper=[printed(row.paper.get(name)) for name in names],
            also=[_further(name, row.further(name)) for name in table.heading.also],
            ours=ours(table, row),
            difference=_difference_text(table, row),
            status=status(row),
        )
        for row in table.rows
    ]


def printed(value: float | None) -> str:
    """The paper's number, per cent, with all its decimals and at least one; `-` where there is none."""
    return "-" if value is None else str(float(value))


def ours(table: Table, row: Row) -> str:
    """Mean, deviation over seeds and their number; the dagger refers to the notes on all our numbers."""
    if row.mean is None:
        statuses = {result.status for result in row.results}
        return next((status for status in (FAILED, MISSING) if status in statuses), "nan" if statuses else "-")
    planned, count = len(row.results), len(row.measured)
    mark = "†" if table.notes else ""
    deviation = "" if row.std is None else f" ± {percent(row.std)}"
    seeds = "" if planned == 1 else f" (n = {count}{'' if count == planned else f' of {planned}'})"
    return f"{percent(row.mean)}{deviation}{seeds}{mark}"


def _further(name: str, values: list[float]) -> str:
    """Mean and sample standard deviation over seeds, per cent; of what a row takes the mean alone."""
    if name in COSTS and values:
        return f"{fmean(values):.0f}" if name == "seconds" else f"{fmean(values):.1f}"
    if not values:
        return "-"
    return percent(fmean(values)) + (f" ± {percent(stdev(values))}" if len(values) > 1 else "")


def _difference_text(table: Table, row: Row) -> str:
    if row.name == table.heading.reference:
        return "reference"
    if row.difference is None:
        return "-"
    to_reference = row.difference
    interval = "no interval"
    if to_reference.low is not None and to_reference.high is not None:
        interval = f"[{percent(to_reference.low, signed=True)}, {percent(to_reference.high, signed=True)}]"
    return f"{percent(to_reference.value, signed=True)} {interval}"


def status(row: Row) -> str:
    """Where the row's numbers come from, worst last."""
    if not row.results:
        return "paper only"
    counts = Counter(result.status for result in row.results)
    return "; ".join(_status(row, name, counts[name]) for name in _ORDER if name in counts)


def _status(row: Row, name: str, count: int) -> str:
    details = list(dict.fromkeys(r.detail for r in row.results if r.status == name and r.detail))
    several = "" if len(row.results) == 1 else f"{count} "
    return f"{several}{name}" + (f" ({'; '.join(details)})" if details and name in {COMMITTED, MISSING} else "")


def setting(table: Table) -> str:
    """On what our numbers are, and whether they may be held against the paper's."""
    others = ("data=", "backbone=", "seed=", "paths.", "runtime.", "logger", "data.root=")
    changed = [override for override in table.overrides if not override.startswith(others)]
    place = f"Ours are on data={table.data}, backbone={table.backbone}{''.join(f', {item}' for item in changed)}"
    if not table.heading.setting:
        return f"{place}."
    if table.comparable:
        allowed = ", as far as these overrides allow" if changed else ""
        return f"{place}; the paper's on {table.heading.setting}: the two columns may be compared{allowed}."
    return f"{place}; the paper's on {table.heading.setting}: the two columns are NOT comparable."


def footnotes(table: Table) -> list[str]:
    """Notes on our numbers, on rows and on the table, and what the interval covers."""
    notes = [f"† {note}" for note in table.notes]
    rows = [f"{mark} {row.footnote}" for row, mark in _row_marks(table)]
    chosen = [f"Chosen on: {value}." for name, value in cards.card(table) if name == "chosen on"]
    failed = [(row.name, result) for row in table.rows for result in row.results if result.status == FAILED]
    failures = [f"{name}, seed {each.seed}, failed: {each.detail}" for name, each in failed if each.detail]
    about_rows = [*_intervals(table), *_changes(table), *failures]
    return [*notes, *rows, *table.heading.footnotes, table.heading.scale, *chosen, *about_rows]


def _intervals(table: Table) -> list[str]:
    """One sentence for all rows whose intervals cover the same seeds and images."""
    groups: dict[tuple[str, int, bool], list[str]] = {}
    for row in table.rows:
        if row.difference is not None and row.difference.images is not None:
            seeds = ", ".join(map(str, row.difference.seeds))
            groups.setdefault((seeds, row.difference.images, row.difference.over_seeds), []).append(row.name)
    whose = {key: "" if len(groups) == 1 else f" of {' and '.join(rows)}" for key, rows in groups.items()}
    split = "training" if table.heading.metric.startswith("train/") else "val"
    reference = table.heading.reference or ""
    return [
        _interval(reference, whose[key], key[0], f"the {key[1]} {split} images", over_seeds=key[2]) for key in groups
    ]


def _interval(reference: str, whose: str, seeds: str, images: str, *, over_seeds: bool) -> str:
    mean = f"the mean over seeds {seeds}" if "," in seeds else f"seed {seeds}"
    covered = f"{images} and of the seeds" if over_seeds else f"{images} alone"
    return (
        f"Brackets{whose}: {100 * LEVEL:.0f} % paired bootstrap interval of the difference to {reference} for {mean}, "
        f"over the choice of {covered} ({RESAMPLES:,} resamples, the same draw for both rows)"
        f"{'' if over_seeds else '; another seed is not covered'}."
    )


def _changes(table: Table) -> list[str]:
    details = [result.detail for row in table.rows for result in row.results if result.status == CHANGED]
    files = sorted({file for detail in details for file in detail.split(", ")})
    if len(files) > _NAMED:  # the JSON beside a table has each file's name
        counts = Counter(file.rpartition("/")[0] for file in files)
        files = [f"{folder} ({count})" for folder, count in counts.items()]
    return [f"Code changed since these runs: {', '.join(files)}."] if files else []


def _row_marks(table: Table) -> list[tuple[Row, str]]:
    marked = [row for row in table.rows if row.footnote]
    return [(row, str(number).translate(_SUPERSCRIPT)) for number, row in enumerate(marked, start=1)]


def duration(seconds: float | None) -> str:
    """Wall time for reading: seconds below two minutes, minutes below two hours, else hours."""
    if seconds is None:
        return "-"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
