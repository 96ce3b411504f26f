"""Keys of every experiment and stage as they were when results were committed: a change of one orphans these results.

Where keys have to change, `python tests/pipeline/test_frozen_keys.py` writes `tests/frozen_keys.json` anew, and the
changelog says why.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wsss_lightning import pipeline
from wsss_lightning.pipeline.planning import Planner

FILE = Path(__file__).parents[1] / "frozen_keys.json"
FROZEN = json.loads(FILE.read_text())


def _keys(experiment: str) -> dict[str, str]:
    config = pipeline.compose([f"experiment={experiment}"])
    planner = Planner(config)
    return {str(name): planner.key(str(name)) for name in config.stages}


@pytest.mark.parametrize("experiment", FROZEN)
def test_the_key_of_a_stage_is_what_it_was(experiment: str) -> None:
    keys = _keys(experiment)
    assert {name: keys[name] for name in FROZEN[experiment]} == FROZEN[experiment]


if __name__ == "__main__":
    folder = pipeline.configuration.project_folder("conf") / "experiment"
    names = sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))
    FILE.write_text(json.dumps({name: _keys(name) for name in names}, indent=1) + "\n")
