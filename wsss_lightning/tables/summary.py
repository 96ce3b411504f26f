"""Sweeps as a table: rows are what was varied, numbers are means over seeds, differences have paired intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, stdev

from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.cards import SEARCHED
from wsss_lightning.pipeline.objective import searched_by
from wsss_lightning.tables.differences import interval
from wsss_lightning.tables.jobs import Sweep, SweepJob
from wsss_lightning.tables.results import Difference

_LETTERS = [*"ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
_LOWER = ("loss", "seconds", "gigabytes", "error")  # of metrics of which less is better


@dataclass(frozen=True)
class Group:
    """The jobs of one row in one sweep."""

    jobs: list[SweepJob]
    metric: str

    @cached_property
    def values(self) -> list[float]:
        """The metric of the jobs that have it."""
        return [value for job in self.jobs if (value := job.value(self.metric)) is not None]

    @property
    def mean(self) -> float | None:
        """Mean over jobs, None without any number."""
        return fmean(self.values) if self.values else None

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation (ddof = 1) over jobs, None of fewer than two."""
        return stdev(self.values) if len(self.values) > 1 else None

    @property
    def seconds(self) -> float | None:
        """Mean wall time of a job's stages."""
        known = [job.seconds for job in self.jobs if job.seconds is not None]
        return fmean(known) if known else None


@dataclass(frozen=True)
class SummaryRow:
    """One choice of what is compared: its values by name, and in each sweep its jobs and the two differences.

    `groups`: by sweep, where it has such jobs; `differences`: to the reference row of the same sweep;
    `changes`: to the same row of the first sweep.
    """

    choice: tuple[str, ...]
    groups: dict[str, Group]
    differences: dict[str, Difference]
    changes: dict[str, Difference]


@dataclass(frozen=True)
class SweepSummary:
    """What `wsss summary` prints. `names`: what rows differ in; `over`: what is averaged over; `labels`: of sweeps."""

    metric: str
    names: list[str]
    over: list[str]
    labels: dict[str, str]
    reference: tuple[str, ...]
    rows: list[SummaryRow]

    @property
    def lower_is_better(self) -> bool:
        """Whether the best row is the one with the least."""
        return any(word in self.metric for word in _LOWER)

    @property
    def best(self) -> tuple[SummaryRow, str] | None:
        """The row and the sweep with the best mean; None where there is no number, or several rows have one alone."""
        means = [(group.mean, row, name) for row in self.rows for name, group in row.groups.items()]
        numbers = [(mean, row, name) for mean, row, name in means if mean is not None]
        if not numbers or len({mean for mean, *_ in numbers}) < min(2, len(numbers)):
            return None
        sign = -1 if self.lower_is_better else 1
        _, row, name = max(numbers, key=lambda item: sign * item[0])
        return row, name

    def jobs(self) -> list[tuple[str, SweepJob]]:
        """Every job with the label of its sweep."""
        return [(self.labels[name], job) for row in self.rows for name, g in row.groups.items() for job in g.jobs]


def summarise(
    sweeps: Sequence[Sweep], *, by: Sequence[str] = (), metric: str | None = None, reference: str | None = None
) -> SweepSummary:
    """Average the jobs of sweeps over seeds, or over all but `by`.

    Args:
        sweeps: several stand side by side.
        by: names of settings that make a row; empty: all that varied within a sweep but the seed.
        metric: of a job's result or one of its stages; None: what a search was for, else the results' first but a
            training's loss.
        reference: `NAME=VALUE[,NAME=VALUE...]`, the row that others are compared with; None: the first one.

    Raises:
        InputError: no job has the metric, was given a name of `by`, or is of the reference.
    """
    if len(sweeps) > len(_LETTERS):
        raise InputError(f"{len(sweeps)} sweeps are too many for a table: name {len(_LETTERS)} at most.")
    sweeps = _distinct(sweeps)
    varied = list(dict.fromkeys(name for sweep in sweeps for name in sweep.varied()))
    names = list(by) or [name for name in varied if name != "seed"]
    _check_names(names, sweeps)
    over = [name for name in varied if name not in names]
    chosen = metric or _first_metric(sweeps)
    groups = _grouped(sweeps, names, chosen)
    if not any(group.values for of_row in groups.values() for group in of_row.values()) and metric is not None:
        raise InputError(f"No job reports {metric}; there are {', '.join(_metrics(sweeps)) or 'no metrics'}.")
    first = _reference(reference, names, list(groups))
    rows = [_row(choice, of_row, groups[first], sweeps[0].name, over) for choice, of_row in groups.items()]
    return SweepSummary(chosen, names, over, _labels(sweeps, names), first, rows)


def _distinct(sweeps: Sequence[Sweep]) -> list[Sweep]:
    """Sweeps of one name, from different roots, numbered."""
    names = [sweep.name for sweep in sweeps]
    return [
        Sweep(f"{sweep.name} ({number})", sweep.jobs) if names.count(sweep.name) > 1 else sweep
        for number, sweep in enumerate(sweeps, start=1)
    ]


def _check_names(names: Sequence[str], sweeps: Sequence[Sweep]) -> None:
    given = dict.fromkeys(name for sweep in sweeps for job in sweep.jobs for name in job.settings)
    if unknown := [name for name in names if name not in given]:
        raise InputError(f"--by {unknown[0]}: no job was given it; they were given {', '.join(given)}.")


def _first_metric(sweeps: Sequence[Sweep]) -> str:
    cards = [job.records[-1]["card"] for sweep in sweeps for job in sweep.jobs if job.records]
    searched = (searched_by(str(card.get(SEARCHED, ""))) for card in cards)
    metrics = [*filter(None, searched), *_metrics(sweeps)]  # of a training, the loss comes first
    return next((name for name in metrics if not name.startswith("train/loss")), next(iter(metrics), "value"))


def _metrics(sweeps: Sequence[Sweep]) -> list[str]:
    return list(dict.fromkeys(name for sweep in sweeps for job in sweep.jobs for name in job.metrics or {}))


def _grouped(sweeps: Sequence[Sweep], names: Sequence[str], metric: str) -> dict[tuple[str, ...], dict[str, Group]]:
    jobs: dict[tuple[str, ...], dict[str, list[SweepJob]]] = {}
    for sweep in sweeps:
        for job in sweep.jobs:
            choice = tuple(job.settings.get(name, "default") for name in names)
            jobs.setdefault(choice, {}).setdefault(sweep.name, []).append(job)
    return {choice: {name: Group(of_sweep, metric) for name, of_sweep in of.items()} for choice, of in jobs.items()}


def _reference(text: str | None, names: Sequence[str], choices: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    wanted = dict(part.partition("=")[::2] for part in text.split(",")) if text else {}
    for choice in choices:
        row = dict(zip(names, choice, strict=True))
        if all(row.get(name) == value for name, value in wanted.items()):
            return choice
    rows = "; ".join(",".join(f"{n}={v}" for n, v in zip(names, choice, strict=True)) for choice in choices)
    raise InputError(f"--reference {text} is no row; the rows are {rows}.")


def _row(
    choice: tuple[str, ...], groups: dict[str, Group], reference: dict[str, Group], first: str, over: Sequence[str]
) -> SummaryRow:
    to_reference = {name: (group, reference[name]) for name, group in groups.items() if name in reference}
    to_first = {name: (group, groups[first]) for name, group in groups.items() if first in groups}
    return SummaryRow(choice, groups, _differences(to_reference, over), _differences(to_first, over))


def _differences(pairs: dict[str, tuple[Group, Group]], over: Sequence[str]) -> dict[str, Difference]:
    found = {name: _difference(*pair, over) for name, pair in pairs.items() if pair[0] is not pair[1]}
    return {name: difference for name, difference in found.items() if difference is not None}


def _difference(ours: Group, theirs: Group, over: Sequence[str]) -> Difference | None:
    """Over the jobs that agree in all that is averaged over, once each."""
    others = {_repeat(job, over): job for job in theirs.jobs}
    pairs = [(job, others[key]) for job in ours.jobs if (key := _repeat(job, over)) in others]
    both = [(a, b, a.value(ours.metric), b.value(ours.metric)) for a, b in pairs]
    known = [(a, b, x - y) for a, b, x, y in both if x is not None and y is not None]
    if not known:
        return None
    sides = [[job.result for job in side] for side in zip(*((a, b) for a, b, _ in known), strict=True)]
    low, high, images = interval(*sides, metric=ours.metric) or (None, None, None)
    seeds = [int(seed) for a, *_ in known if (seed := a.settings.get("seed", "0")).lstrip("-").isdigit()]
    return Difference(fmean(d for *_, d in known), low, high, seeds, images, over_seeds=len(known) > 1)


def _repeat(job: SweepJob, over: Sequence[str]) -> tuple[str | None, ...]:
    return tuple(job.settings.get(name) for name in over)


def _labels(sweeps: Sequence[Sweep], names: Sequence[str]) -> dict[str, str]:
    """What sets a sweep apart from the others; a letter where nothing does."""
    fixed = [{n: v for n, v in sweep.fixed().items() if n not in names} for sweep in sweeps]
    own = [[f"{n}={v}" for n, v in mine.items() if any(o.get(n) != v for o in fixed)] for mine in fixed]
    texts = [" ".join(parts) for parts in own]
    unique = [
        text if text and texts.count(text) == 1 else letter for text, letter in zip(texts, _LETTERS, strict=False)
    ]
    return {sweep.name: label for sweep, label in zip(sweeps, unique, strict=True)}
