"""Whose results a change of one method's file marks as computed by other code."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from wsss_lightning import pipeline
from wsss_lightning.pipeline.configuration import project_folder
from wsss_lightning.pipeline.planning import plan_config
from wsss_lightning.pipeline.store import source_hashes

CONF = project_folder("conf")
METHODS = sorted(path.stem for path in CONF.glob("method/*.yaml"))
EXPERIMENTS = sorted(path.relative_to(CONF / "experiment") for path in CONF.glob("experiment/*/*.yaml"))


def _owner(method: str) -> str:
    return method.removesuffix("_added")


def _composed(method: str, *overrides: str) -> DictConfig:
    backbone = "lse_tiny" if _owner(method) == "patches" else "tiny"
    return pipeline.compose([*overrides, f"backbone={backbone}", "backbone.weights=null"])


def _watched_methods(plan: pipeline.Plan) -> set[str]:
    """The methods below whose folders lie files that the stages of a plan watch."""
    files = {Path(file).parts for stage in plan.stages.values() for file in source_hashes(stage.node)}
    return {parts[2] for parts in files if parts[:2] == ("wsss_lightning", "methods") and len(parts) > 3}


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.with_suffix("").as_posix())
def test_an_experiment_watches_no_file_of_another_method(path: Path) -> None:
    config = _composed(path.parts[0], f"experiment={path.with_suffix('').as_posix()}")
    assert _watched_methods(plan_config(config)) <= {_owner(path.parts[0])}


@pytest.mark.parametrize("method", METHODS)
def test_a_stage_watches_files_of_its_own_method_and_of_no_other(method: str) -> None:
    config = _composed(method, f"method={method}")
    watched = {name: _watched_methods(plan_config(OmegaConf.merge(config, {"result": name}))) for name in config.stages}
    assert set().union(*watched.values()) == {_owner(method)}, watched
