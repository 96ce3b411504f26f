"""timm's networks in the methods: the matrix of docs/backbones.md, of which a part is run each time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import wsss_lightning
from wsss_lightning import pipeline
from wsss_lightning.nn.timm_backbone import TimmBackbone
from wsss_lightning.stages.tag_classifier import TagClassifier

pytest.importorskip("timm")
DOCS = (Path(__file__).parents[1] / "docs" / "backbones.md").read_text(encoding="utf-8")
VIT = "deit_tiny_distilled_patch16_224"
NAMES = (
    *("resnet18", "regnety_002", "mobilenetv3_small_050", "convnext_atto", "densenet121"),
    *("vit_tiny_patch16_224", VIT, "vit_small_patch14_reg4_dinov2", "swin_tiny_patch4_window7_224"),
)
COMMON = [
    *("backbone=timm", "backbone.weights=null", "trainer.accelerator=cpu", "runtime.progress=false"),
    *("runtime.processes=1", "stages.shapes.train=8", "stages.shapes.val=3", "stages.shapes.size=64"),
]
METHODS = {
    "cam": ["experiment=cam/student_threshold", "tuning.classifier.epochs=2", "tuning.student.steps=2"],
    "points": [
        *("experiment=points/diverse", "stages.shapes.train=32", "tuning.localizer.hidden=8"),
        *("tuning.classifier.steps=3", "points.panels=1"),
    ],
    "priors": [
        *("experiment=priors/fusion", "result=evaluation", "priors.panels=1", "tuning.localization.steps=[1,1]"),
        *("tuning.localization.size=[64,64]", "tuning.localization.frame=[72,72]", "tuning.segmenter.steps=[1,1]"),
    ],
    "coseg": [
        *("experiment=coseg/ceiling", "ablation=[coseg/truth,coseg/no_crf]", "result=evaluation", "coseg.panels=1"),
        *("tuning.crop=[48,48]", "tuning.final.steps=[1,1]", "tuning.batch_size=2"),
    ],
}
FAST = [("cam", VIT), ("priors", "vit_tiny_patch16_224"), ("coseg", "mobilenetv3_small_050")]


def plan(root: Path, method: str, name: str) -> pipeline.Plan:
    token = ["backbone.class_token=attention"] if name == VIT else []
    return pipeline.plan([f"paths.root={root}", *COMMON, *METHODS[method], f"backbone.name={name}", *token])


@pytest.mark.parametrize(("method", "name"), FAST)
def test_a_method_runs(tmp_path: Path, method: str, name: str) -> None:
    planned = plan(tmp_path, method, name)
    assert 0 <= pipeline.run(planned)["val/miou"] <= 1
    card = (planned.final.record() or {})["card"]
    assert name in card["external_data"]
    assert f"class token is {'attention' if name == VIT else 'ignored'}" in card["external_data"]
    if method == "cam":
        model = wsss_lightning.load(planned.stages["classifier"].folder)
        assert isinstance(model, TagClassifier) and isinstance(model.trunk.backbone, TimmBackbone)
        assert model.trunk.backbone.attends


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_every_method_runs(tmp_path: Path, name: str) -> None:
    for method in METHODS:
        assert 0 <= pipeline.run(plan(tmp_path, method, name))["val/miou"] <= 1


def test_the_documented_matrix_is_what_is_run() -> None:
    rows = re.findall(r"^\| `(\w+)`.*\| yes \| yes \| yes \| yes \|$", DOCS, flags=re.MULTILINE)
    assert rows == [*NAMES]
    header = re.search(r"^\| `backbone\.name` \| kind \| stride 16 \| (.*) \|$", DOCS, flags=re.MULTILINE)
    assert header is not None and header[1].split(" | ") == [*METHODS]
