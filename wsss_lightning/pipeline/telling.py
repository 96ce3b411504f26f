"""What a job tells its dashboards: one run for all of its stages, computed now or served from the store.

Dashboards read what stages leave on disk. So a result of last week is shown like one of today, a stage in a process
group like one of this process, and no stage knows of a dashboard.
"""

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from hydra.utils import instantiate

from wsss_lightning.pipeline.calls import arguments
from wsss_lightning.pipeline.configuration import bind, data_sets
from wsss_lightning.pipeline.curves import Curve, read_curves, read_trials
from wsss_lightning.pipeline.identity import TRAINS
from wsss_lightning.pipeline.naming import compared_choices
from wsss_lightning.pipeline.planning import Plan, PlannedStage

log = logging.getLogger(__name__)
_EVERY = 5.0  # seconds between two looks at what a training logs


@dataclass(frozen=True)
class DashboardJob:
    """One run of a dashboard: its name, what it belongs to, and the settings that runs are compared by."""

    name: str
    group: str | None
    tags: list[str]
    settings: dict[str, Any]


@dataclass(frozen=True)
class Finished:
    """A finished stage; `final`: the job's result; `cached`: served from the store; `data`: the data sets it was given.

    `trials`: see `read_trials`.
    """

    name: str
    folder: Path
    record: dict[str, Any]
    final: bool
    cached: bool
    trials: Mapping[tuple[str, str], Curve]
    data: list[Any]


class Dashboard(Protocol):
    """What an entry of the config group `logger` is where it shows jobs; the others are loggers of single stages."""

    def start(self, job: DashboardJob) -> None:
        """Begin a run; an `InputError` where it cannot begin keeps the job from computing."""

    def curve(self, stage: str, name: str, axis: str, points: Curve) -> None:
        """Further (x, value) points of a quantity of a stage, x ascending."""

    def result(self, stage: Finished) -> None:
        """Metrics, values per class and pictures of a finished stage."""

    def finish(self, *, failed: bool) -> None:
        """End the run."""


@dataclass
class Teller:
    """Tells every dashboard of a job what its stages do."""

    boards: dict[str, Dashboard]
    plan: Plan
    sent: set[tuple[str, str, float]] = field(default_factory=set)

    @contextmanager
    def following(self, stage: PlannedStage) -> Iterator[None]:
        """Show while a stage trains what its csv logger writes; a stage that does not train has no curves."""
        if not self.boards or TRAINS not in stage.node:
            yield
            return
        done = threading.Event()
        thread = threading.Thread(target=self._follow, args=(stage, done), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            self._curves(stage)

    def _follow(self, stage: PlannedStage, done: threading.Event) -> None:
        while not done.wait(_EVERY):
            self._curves(stage)

    def _curves(self, stage: PlannedStage) -> None:
        with _harmless("the curves", stage.name):
            for name, curve in read_curves(stage.folder, least=1).items():
                # A resumed training logs some steps again, to the same bits.
                new = [point for point in dict(curve).items() if (stage.name, name, point[0]) not in self.sent]
                self.sent |= {(stage.name, name, step) for step, _ in new}
                for board in self.boards.values() if new else ():
                    board.curve(stage.name, name, "step", new)

    def result(self, stage: PlannedStage, record: dict[str, Any], *, cached: bool) -> None:
        """Show a finished stage."""
        if not self.boards:
            return
        finished = Finished(
            name=stage.name,
            folder=stage.folder,
            record=record,
            final=stage is self.plan.final,
            cached=cached,
            trials=read_trials(stage.folder, record["metrics"]),
            data=[instantiate(node) for node in data_sets(bind(arguments(stage.node), stage.bindings))],
        )
        for name, board in self.boards.items():
            with _harmless(name, stage.name):
                for (metric, axis), curve in finished.trials.items():
                    board.curve(stage.name, metric, axis, curve)
                board.result(finished)


@contextmanager
def telling(plan: Plan) -> Iterator[Teller]:
    """The dashboards of a job, whose runs end as the job does; a job without any costs nothing."""
    boards: dict[str, Dashboard] = {name: instantiate(node) for name, node in plan.dashboards.items()}
    started, code = [], 1
    try:
        for board in boards.values():
            board.start(_job(plan))
            started.append(board)
        yield Teller(boards, plan)
        code = 0
    finally:
        for board in started:
            board.finish(failed=bool(code))


def _job(plan: Plan) -> DashboardJob:
    run = plan.run
    stages = {name: {"key": stage.key, **_plain(stage.node)} for name, stage in plan.stages.items()}
    settings = compared_choices(plan.choices)
    settings |= {"result": plan.result, "seed": plan.config.get("seed"), "card": plan.card}
    settings |= {"varied": run.get("varied") or {}, "overrides": run.get("overrides") or {}, "stages": stages}
    return DashboardJob(run.get("name") or plan.result, run.get("group"), list(run.get("tags") or []), settings)


def _plain(node: dict[str, Any]) -> dict[str, Any]:
    """What a stage is called with, but data sets and what only this machine decides."""
    kept = {name: value for name, value in node.items() if not data_sets(value)}
    return {name: value for name, value in kept.items() if not (isinstance(value, str) and value.startswith("<"))}


@contextmanager
def _harmless(what: str, stage: str) -> Iterator[None]:
    """A dashboard that fails costs no training: the result is in the store, and another run shows it."""
    try:
        yield
    except Exception as error:
        log.warning("%s could not show %s (%s: %s)", what, stage, type(error).__name__, error)
