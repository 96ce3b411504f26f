"""Every stage that looks through a network at images, on several devices: each image once, the same bytes as on one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from wsss_lightning import pipeline
from wsss_lightning.pipeline import Plan, PlannedStage
from wsss_lightning.pipeline.identity import TRAINS

pytestmark = pytest.mark.long
SMALL = [
    "stages.shapes.val=5",
    "stages.shapes.size=64",
    "trainer.accelerator=cpu",
    "runtime.progress=false",
    "runtime.processes=1",
]
WEB = ["stages.shapes_web.per_class=2", "stages.shapes_web.size=64"]
PATCHES = ["tuning.size=[64,64]", "tuning.steps=[2,2]", "patches.mining.most=20", "patches.panels=1"]
COSEG = ["tuning.crop=[48,48]", "tuning.generator.steps=[4,1]", "tuning.final.steps=[3,1]", "tuning.snapshot_every=2"]
PRIORS = ["tuning.localization.size=[64,64]", "tuning.localization.frame=[72,72]", "tuning.localization.steps=[3,2]"]
METHODS = {
    "points": ["stages.shapes.train=33", "tuning.localizer.hidden=16", "tuning.classifier.steps=30"],
    "cam": ["method=cam", "ablation=cam/threshold", "stages.shapes.train=41", "tuning.student.steps=5"],
    "patches": ["experiment=patches/lse1", "stages.shapes.train=7", *WEB, *PATCHES, "tuning.lse1.patches=1"],
    "coseg": ["experiment=coseg/full", "stages.shapes.train=9", "stages.shapes_web.per_class=6", *COSEG],
    "priors": ["experiment=priors/fusion", "stages.shapes.train=7", "tuning.segmenter.steps=[3,1]", *PRIORS],
}


def _plan(root: Path, method: str, *overrides: str) -> Plan:
    return pipeline.plan([f"paths.root={root}", *SMALL, *METHODS[method], *overrides])


def _inferring(plan: Plan) -> Iterator[PlannedStage]:
    for stage in plan.stages.values():
        if stage.node.get("trainer") and TRAINS not in stage.node:
            yield stage


def _files(stage: PlannedStage) -> dict[str, bytes]:
    record = stage.record()
    assert record is not None
    return {name: (stage.folder / name).read_bytes() for name in record["files"] if name != "node.json"}


@pytest.mark.parametrize("method", METHODS)
def test_no_number_of_devices_changes_a_byte(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{Path(pipeline.__file__).parents[2]}:{os.environ.get('PYTHONPATH', '')}")
    plan = _plan(tmp_path, method)
    metrics = pipeline.run(plan)
    stages = list(_inferring(plan))
    assert stages and metrics
    for stage in stages:
        for devices in (2, 3):
            several = _plan(tmp_path, method, f"stages.{stage.name}.trainer.devices={devices}", f"result={stage.name}")
            pipeline.run(several)
            assert several.final.key != stage.key and several.final.upstream == stage.upstream
            assert _files(several.final) == _files(stage), f"{stage.name} on {devices} devices"
            record, before = several.final.record(), stage.record()
            assert record is not None and before is not None and record["metrics"] == before["metrics"]
