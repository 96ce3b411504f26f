"""What the run of a job is called, and the config groups that it is compared by."""

from collections.abc import Iterable, Mapping
from typing import Any

from wsss_lightning.pipeline.planning import Plan

# Config groups that decide how and where a job runs, not what it computes.
_HOW = ("hydra", "runtime", "paths", "logger", "run", "sweep")
_LENGTH = 80


def named(plan: Plan, overrides: Iterable[str], *, group: str | None, given: Iterable[str]) -> Plan:
    """The plan of one job as dashboards call it; in a sweep (`group`) by what its command line `given` varies alone."""
    job = settings(overrides)
    changed = {} if group is None else varied(given, job)
    name = short_name(plan.choices, job if group is None else changed)
    return plan.called(name=name, group=group, varied=changed, overrides=job)


def compared_choices(choices: Mapping[str, Any]) -> dict[str, Any]:
    """The file chosen in each config group, without those that only say how a job is run."""
    others = (*_HOW, "ablation")  # all of which are in `ablations`
    chosen = {group: name for group, name in choices.items() if group.partition("/")[0] not in others}
    return {group: name for group, name in chosen.items() if str(name) not in ("None", "null")}


def settings(overrides: Iterable[str]) -> dict[str, str]:
    """What a command line sets, by name; what only says how to run is left out."""
    pairs = (text.lstrip("+").partition("=") for text in overrides if not text.startswith("~"))
    return {name: value for name, _, value in pairs if name.partition(".")[0].partition("/")[0] not in _HOW}


def varied(given: Iterable[str], job: Mapping[str, str]) -> dict[str, str]:
    """What a sweep varies, with this job's values: all that stands otherwise in the job than on the command line."""
    typed = settings(given)
    return {name: value for name, value in job.items() if typed.get(name) != value}


def short_name(choices: Mapping[str, Any], shown: Mapping[str, str]) -> str:
    """What a person would call a job: experiment or method, data and backbone, then each of `shown` in short.

    `points/diverse shapes tiny k=10 seed=1`; at most 80 characters.
    """
    chosen = compared_choices(choices)
    heads = (chosen.get("experiment", chosen.get("method")), chosen.get("data"), chosen.get("backbone"))
    parts = [str(head) for head in heads if head is not None]
    groups = {"experiment", "method", "data", "backbone"}
    parts += [_short(name, value) for name, value in shown.items() if name not in groups]
    name = " ".join(parts)
    return name if len(name) <= _LENGTH else f"{name[: _LENGTH - 3]}..."


def _short(name: str, value: str) -> str:
    return value.strip("[]").rpartition("/")[2] if name == "ablation" else f"{name.rpartition('.')[2]}={value}"
