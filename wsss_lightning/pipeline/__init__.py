"""From overrides to finished stages: compose, plan, run, record."""

from wsss_lightning.pipeline.configuration import choices, compose
from wsss_lightning.pipeline.execution import rerun, run
from wsss_lightning.pipeline.planning import Plan, PlannedStage, plan

__all__ = ["Plan", "PlannedStage", "choices", "compose", "plan", "rerun", "run"]
