"""What a sweeper that searches is told of a job, and what the card says of the search."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.planning import Plan, PlannedStage
from wsss_lightning.pipeline.store import read_record

TAGS_ALONE = "val/tag_ap"  # of held-out images; no mask is opened for it


def searches(sweeper: dict[str, Any]) -> bool:
    """Whether Hydra's `sweeper` chooses its jobs by the results of others, as Optuna does and Hydra's own does not."""
    return not str(sweeper.get("_target_", "")).endswith(".BasicSweeper")


def searched_on(objective: str) -> str:
    """Entry of the card: the split that a search looked at, and whether it saw masks of it."""
    split, tags = objective.partition("/")[0], "tag" in objective
    return f"{split} images, by {objective} ({'their tags alone' if tags else 'ground truth of that split'})"


def searched_by(entry: str) -> str | None:
    """The metric that `searched_on` wrote into an entry of a card."""
    match = re.search(r" images, by (\S+) \(", entry)
    return match and match[1]


def objective(plan: Plan, metrics: dict[str, float], name: str | None) -> float:
    """The metric `name` of a result or else of the last stage before it that reports it; None: the result's first.

    Raises:
        InputError: no stage reports it.
    """
    if name is None:
        return next(iter(metrics.values()), float("nan"))
    reports = _reports(plan, metrics)
    value = next((report[name] for _, report in reports if name in report), None)
    if value is None:
        known = dict.fromkeys(metric for _, report in reports for metric in report)
        raise InputError(f"objective={name}: no stage reports it; there are {', '.join(known) or 'no metrics'}.")
    return float(value)


def _reports(plan: Plan, metrics: dict[str, float]) -> list[tuple[PlannedStage, dict[str, float]]]:
    """Stages with what they report, the result first."""
    before = [(stage, (read_record(stage.folder) or {}).get("metrics", {})) for stage in reversed(plan.stages.values())]
    return [(plan.final, metrics), *before]


def fixed(plan: Plan, metrics: dict[str, float], name: str, earlier: Sequence[Mapping[str, str]]) -> str | None:
    """A sentence where the stage that reports `name` is the same in all trials so far, though their results differ.

    Args:
        plan: of a trial, which has run.
        metrics: of its result.
        name: what is searched by, which a stage reports.
        earlier: of each trial before it, the folders of its stages by name.
    """
    stage = next(stage for stage, report in _reports(plan, metrics) if name in report)
    own, result = str(stage.folder), str(plan.final.folder)
    same = [trial.get(stage.name) == own and trial.get(plan.final.name) != result for trial in earlier]
    if not same or not all(same):
        return None
    return f"objective={name} is of {stage.name}, which no trial so far has changed: search by one that they do."
