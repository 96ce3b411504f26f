"""Every method's final network predicts a test list, and the masks are packed for VOC's server."""

from pathlib import Path

import pytest
from fake_data import write_voc
from PIL import Image
from typer.testing import CliRunner

from wsss_lightning import pipeline
from wsss_lightning.cli import app

IDS = ["2008_000011", "2008_000012"]
SMALL = ["trainer.accelerator=cpu", "runtime.progress=false", "runtime.processes=1"]
METHODS = {
    "points/diverse_crf": ["tuning.localizer.hidden=16", "tuning.classifier.steps=30"],
    # true masks, since co-segmentation has its own tests
    "coseg/full": [
        *("source=single_tag", "stages.generator.masks=${{folder:{voc}/SegmentationClass}}"),
        *("tuning.generator.steps=[2,1]", "tuning.final.steps=[2,1]"),
    ],
    "priors/fusion_regions": ["tuning.segmenter.steps=[2,1]", "tuning.localization.steps=[2,1]"],
}


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """A VOC folder whose test images have neither tags nor masks: they stand in a list alone."""
    root = tmp_path / "VOC2012"
    write_voc(root, size=(96, 120))
    for image_id in IDS:
        Image.effect_noise((120, 96), 60).convert("RGB").save(root / "JPEGImages" / f"{image_id}.jpg")
    (root / "ImageSets" / "Segmentation" / "test.txt").write_text("\n".join(IDS))
    return root


@pytest.mark.parametrize("experiment", METHODS)
def test_predictions_of_a_test_list_are_packed_for_the_server(experiment: str, voc: Path, tmp_path: Path) -> None:
    data = ["data=voc", f"data.root={voc}", "data.train_list=train", "data.classes=[aeroplane,bicycle,bird]"]
    small = [
        *SMALL,
        *(option.format(voc=voc) for option in METHODS[experiment]),
        "data.size=[96,128]",
        f"paths.root={tmp_path}",
    ]
    planned = pipeline.plan([f"experiment={experiment}", *data, *small, "result=test_refined"])
    pipeline.run(planned)
    out = tmp_path / "results.tgz"
    done = CliRunner().invoke(app, ["submit", str(planned.final.folder / "masks"), str(out), "--root", str(voc)])
    assert done.exit_code == 0, done.output
    assert f"written to {out}: 2 PNGs" in done.output
