from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_stages import MakePlan
from omegaconf import OmegaConf

from wsss_lightning.pipeline import Plan
from wsss_lightning.pipeline.planning import plan_config
from wsss_lightning.trust import TRUST


@pytest.fixture(autouse=True)
def trust_fake_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stages of these tests are those of a user's own package."""
    monkeypatch.setenv(TRUST, "fake_stages")


@pytest.fixture
def make_plan(tmp_path: Path) -> MakePlan:
    """Plan fake stages, by default up to the last of them, with a store in a temporary folder."""

    def make(stages: dict[str, Any], **groups: Any) -> Plan:
        defaults = {
            "paths": {"store": str(tmp_path / "store")},
            "runtime": {"workers": 0, "fuse": str(tmp_path / "fuse")},
            "logger": {"csv": {"save_dir": "${out_dir:}", "stage": "${stage_name:}"}},
            "result": list(stages)[-1],
        }
        return plan_config(OmegaConf.create({**defaults, "stages": stages, **groups}))

    return make
