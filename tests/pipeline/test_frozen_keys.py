"""Keys of every experiment and stage as they were when results were committed: a change of one orphans these results.

`tests/frozen_keys.json` is written by hand where a result has to change, and the changelog then says why.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wsss_lightning import pipeline
from wsss_lightning.pipeline.planning import Planner

FROZEN = json.loads((Path(__file__).parents[1] / "frozen_keys.json").read_text())


@pytest.mark.parametrize("experiment", FROZEN)
def test_the_key_of_a_stage_is_what_it_was(experiment: str) -> None:
    planner = Planner(pipeline.compose([f"experiment={experiment}"]))
    assert {name: planner.key(name) for name in FROZEN[experiment]} == FROZEN[experiment]
