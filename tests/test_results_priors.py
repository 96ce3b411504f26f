"""The priors paper learns a few pictures from their tags: a wrong step anywhere leaves it far below these figures."""

from pathlib import Path

import pytest
from fake_pictures import write_things

from wsss_lightning import pipeline

SETTINGS = [
    "experiment=priors/fusion",
    "data=folder",
    "data.held_out=0",  # every picture is learned, and shown again
    "data.names=[check_brick,dot_egg]",
    "data.size=null",
    "data.batch_size=1",
    "source=same",
    "trainer.accelerator=cpu",
    "runtime.progress=false",
    "runtime.processes=1",
    "priors.panels=0",
    "tuning.localization.size=[64,64]",
    "tuning.localization.frame=[72,72]",
    "stages.localization.batch_size=6",
    "tuning.localization.rates=[1e-3,1e-4]",
    "tuning.localization.steps=[60,20]",
    "tuning.segmenter.steps=[160,40]",
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_things(tmp_path_factory.mktemp("pictures"), tmp_path_factory.mktemp("others"))


def run(root: Path, pictures: Path, *overrides: str) -> dict[str, float]:
    return pipeline.run(pipeline.plan([f"paths.root={root}", f"data.root={pictures}", *SETTINGS, *overrides]))


def test_masks_of_training_images_come_from_their_tags(root: Path, pictures: Path) -> None:
    """Seeds 0, 1 and 2 gave 0.796, 0.809 and 0.826; all background is 0.2."""
    judged = run(root, pictures, "result=judged_masks")
    assert judged["train/miou"] > 0.7
    assert min(judged[f"train/iou/{name}"] for name in ("background", "check_brick", "dot_egg")) > 0.5


def test_class_activations_are_on_their_objects(root: Path, pictures: Path) -> None:
    """Shares of the object's and of other pixels: 0.70 and 0.42, 0.71 and 0.44, 0.72 and 0.45."""
    cams = run(root, pictures, "result=judged_cams")
    for name in ("check_brick", "dot_egg"):
        assert cams[f"train/cam_on_object/{name}"] > 1.4 * cams[f"train/cam_elsewhere/{name}"]


def test_a_segmenter_learns_from_the_masks_and_the_crf_keeps_it(root: Path, pictures: Path) -> None:
    """Seeds 0, 1 and 2 gave 0.431, 0.402 and 0.410, with the CRF 0.440, 0.420 and 0.388; all background is 0.2."""
    for name in ("evaluation", "evaluation_crf"):
        assert run(root, pictures, f"result={name}")["val/miou"] > 0.33
