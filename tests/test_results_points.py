"""The points paper learns a few scenes from their tags: a wrong step anywhere leaves it far below these figures.

Measured with seeds 0, 1 and 2: mIoU 0.397, 0.389, 0.X before the CRF and 0.478, 0.466, 0.X after it; always background 0.2.
"""

from pathlib import Path

import pytest

from wsss_lightning import pipeline

SETTINGS = [
    "experiment=points/diverse",
    "stages.shapes.train=64",
    "stages.shapes.val=1",
    "stages.shapes.size=96",
    "data.size=[96,96]",
    "data.classes=[check_brick,dot_egg,net_star]",
    "data.val_list=train",
    "tuning.localizer.hidden=32",
    "tuning.localizer.epochs=[4,2]",
    "tuning.classifier.steps=250",
    "trainer.accelerator=cpu",
    "runtime.progress=false",
    "runtime.processes=1",
    "points.panels=0",
    "stages.evaluation.extra_panels=null",
    "stages.evaluation_crf.extra_panels=null",
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


def run(root: Path, *overrides: str) -> dict[str, float]:
    return pipeline.run(pipeline.plan([f"paths.root={root}", *SETTINGS, *overrides]))


def test_scenes_are_segmented_from_their_tags_and_the_crf_improves_it(root: Path) -> None:
    before, after = (run(root, f"result={name}") for name in ("evaluation", "evaluation_crf"))
    assert before["val/miou"] > 0.33
    assert after["val/miou"] > 0.40 and after["val/miou"] > before["val/miou"] + 0.03
    for name in ("background", "check_brick", "dot_egg", "net_star"):
        assert after[f"val/iou/{name}"] > 0.2
    
def test_points(root: Path) -> None:
    judged = run(root, "result=judged")
    print(judged)
    assert 0
