"""A summary of sweeps in words: on the terminal, as markdown, CSV and HTML."""

import csv
import io
from collections.abc import Iterator
from html import escape
from typing import Any

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from wsss_lightning.tables import wording
from wsss_lightning.tables.cards import value_in_words
from wsss_lightning.tables.render import markdown_grid
from wsss_lightning.tables.results import Difference
from wsss_lightning.tables.summary import Group, SummaryRow, SweepSummary

_FRACTIONS = ("iou", "ap", "accuracy", "precision", "recall", "f1", "dice")  # words of metrics that are read x 100
_MASKS = ("iou", "pixel_accuracy", "mean_accuracy")  # and of those that need masks
_STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:2rem;max-width:70rem}"
    "table{border-collapse:collapse;display:block;overflow-x:auto}th,td{padding:.3rem .8rem;border-bottom:1px solid "
    "#8886;text-align:left;white-space:nowrap}tr.best{font-weight:bold}"
)


def print_summary(summary: SweepSummary, console: Console) -> None:
    """Print the rows, then what is to be said of them."""
    grid = Grid(title=Text(_title(summary)), title_justify="left")
    for name in _heads(summary):
        grid.add_column(Text(name), justify="left" if name in summary.names else "right", overflow="fold")
    for row, cells in zip(summary.rows, _body(summary), strict=True):
        grid.add_row(*map(Text, cells), style="bold" if _is_best(summary, row) else "")
    console.print(grid)
    for note in notes(summary):
        console.print(Text(note))


def summary_markdown(summary: SweepSummary) -> str:
    """The same as markdown."""
    said = "\n".join(f"- {note}" for note in notes(summary))
    return "\n\n".join([f"# {_title(summary)}", markdown_grid(_heads(summary), _body(summary)), said]) + "\n"


def summary_html(summary: SweepSummary) -> str:
    """The same as a page of its own, without scripts."""
    head = "".join(f"<th scope=col>{escape(name)}</th>" for name in _heads(summary))
    body = "".join(
        f"<tr{' class=best' if _is_best(summary, row) else ''}>{''.join(f'<td>{escape(c)}</td>' for c in cells)}</tr>\n"
        for row, cells in zip(summary.rows, _body(summary), strict=True)
    )
    said = "".join(f"<li>{escape(note)}</li>\n" for note in notes(summary))
    title = escape(_title(summary))
    return (
        f"<!doctype html>\n<html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{title}</title><style>{_STYLE}</style>\n<h1>{title}</h1>\n<table><thead><tr>{head}</tr></thead>\n"
        f"<tbody>{body}</tbody></table>\n<ul>{said}</ul>\n</html>"
    )


def summary_csv(summary: SweepSummary) -> str:
    """A line for each row and sweep, numbers as they are (fractions, seconds)."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    numbers = ("mean", "std", "difference", "low", "high", "seconds")
    writer.writerow(["sweep", *summary.names, "metric", "jobs", "failed", *numbers, "best"])
    for row in summary.rows:
        for name, group in row.groups.items():
            there = row.differences.get(name)
            compared = [None] * 3 if there is None else [there.value, there.low, there.high]
            values: list[Any] = [group.mean, group.deviation, *compared, group.seconds]
            counts = [len(group.jobs), sum(job.failure is not None for job in group.jobs)]
            best = int(summary.best == (row, name))
            writer.writerow([name, *row.choice, summary.metric, *counts, *values, best])
    return stream.getvalue()


def _heads(summary: SweepSummary) -> list[str]:
    """Heads of the columns; of several sweeps those of each bear its label."""
    heads = ["jobs", summary.metric, "difference [95 %]", "time"]
    several = len(summary.labels) > 1
    own = [f"{label}: {head}" if several else head for label in summary.labels.values() for head in heads]
    first, *later = summary.labels.values()
    return [*summary.names, *own, *(f"{label} - {first} [95 %]" for label in later)]


def _body(summary: SweepSummary) -> list[list[str]]:
    return [[*row.choice, *_cells(summary, row)] for row in summary.rows]


def _cells(summary: SweepSummary, row: SummaryRow) -> Iterator[str]:
    for name in summary.labels:
        group = row.groups.get(name)
        if group is None:
            yield from ("-", "-", "", "-")
            continue
        failed = sum(job.failure is not None for job in group.jobs)
        yield f"{failed} failed of {len(group.jobs)}" if failed else str(len(group.jobs))
        yield _mean(summary, group)
        yield "reference" if row.choice == summary.reference else _difference(summary, row.differences.get(name))
        yield wording.duration(group.seconds)
    for name in list(summary.labels)[1:]:
        yield _difference(summary, row.changes.get(name))


def _mean(summary: SweepSummary, group: Group) -> str:
    if group.mean is None:
        return "-"
    spread = "" if group.deviation is None else f" ± {_number(summary, group.deviation)}"
    return f"{_number(summary, group.mean)}{spread}"


def _difference(summary: SweepSummary, difference: Difference | None) -> str:
    if difference is None:
        return "-"
    ends = [difference.low, difference.high]
    numbers = [_number(summary, end, signed=True) for end in ends if end is not None]
    return _number(summary, difference.value, signed=True) + (f" [{', '.join(numbers)}]" if numbers else "")


def _number(summary: SweepSummary, value: float, *, signed: bool = False) -> str:
    if _is_fraction(summary.metric):
        return wording.percent(value, signed=signed)
    return f"{value:+.4g}" if signed else f"{value:.4g}"


def _is_fraction(metric: str) -> bool:
    return bool({*metric.replace("/", "_").split("_")} & {*_FRACTIONS, "miou"})


def _title(summary: SweepSummary) -> str:
    scale = " x 100" if _is_fraction(summary.metric) else ""
    labelled = [f"{label}: {name}" for name, label in summary.labels.items()]
    sweeps = ", ".join(labelled) if len(labelled) > 1 else next(iter(summary.labels))
    return f"{summary.metric}{scale} of {sweeps}"


def _is_best(summary: SweepSummary, row: SummaryRow) -> bool:
    return summary.best is not None and summary.best[0] is row


def notes(summary: SweepSummary) -> list[str]:
    """How numbers came about, the best row, what was looked at, and why jobs failed."""
    failed = [(label, job) for label, job in summary.jobs() if job.failure is not None]
    where = "{} job {}" if len(summary.labels) > 1 else "job {1}"
    return [
        *_numbers(summary),
        *_best(summary),
        *_cards(summary),
        *(f"{where.format(label, job.number)} failed: {job.failure}" for label, job in failed),
    ]


def _numbers(summary: SweepSummary) -> Iterator[str]:
    """How they came about."""
    if summary.over:
        yield f"Mean ± standard deviation over {', '.join(summary.over)}."
    yield "Time: mean over jobs of all stages behind a result, shared ones counted in each."
    differences = [d for row in summary.rows for d in (*row.differences.values(), *row.changes.values())]
    name = _choice(summary, summary.reference)
    if any(row.differences for row in summary.rows):
        yield f"Differences are to {name}, over the jobs that agree in {', '.join(summary.over) or 'all else'}."
    with_ends = [d for d in differences if d.images is not None]
    if with_ends:
        seeds = " and seeds" if any(d.over_seeds for d in with_ends) else ""
        counts = ", ".join(sorted({f"{d.images:,}" for d in with_ends}))
        yield f"Intervals: paired bootstrap over {counts} images{seeds}, one interval a row: not corrected for several."


def _best(summary: SweepSummary) -> Iterator[str]:
    if summary.best is None or len(summary.rows) * len(summary.labels) < 2:
        return
    row, name = summary.best
    several = f" in {summary.labels[name]}" if len(summary.labels) > 1 else ""
    mean = _mean(summary, row.groups[name])
    yield f"{'Least' if summary.lower_is_better else 'Best'}: {_choice(summary, row.choice)}{several}, {mean}."
    if any(word in summary.metric for word in _MASKS):
        split = summary.metric.partition("/")[0]
        yield f"Whoever takes the best row has chosen by masks of {split}: report it on other images, or say so."


def _choice(summary: SweepSummary, choice: tuple[str, ...]) -> str:
    return " ".join(f"{name}={value}" for name, value in zip(summary.names, choice, strict=True)) or "all jobs"


def _cards(summary: SweepSummary) -> Iterator[str]:
    """What the supervision cards of the results say of splits that were looked at."""
    cards = [job.records[-1]["card"] for _, job in summary.jobs() if job.records]
    for entry in ("supervision", "masks_opened_by", "chosen_on", "searched_on"):
        values = dict.fromkeys(value_in_words(card[entry]) for card in cards if card.get(entry))
        if values:
            yield f"{entry.replace('_', ' ').capitalize()}: {'; '.join(values)}."
