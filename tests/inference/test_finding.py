from __future__ import annotations

import json
from pathlib import Path

import pytest

from wsss_lightning.errors import InputError
from wsss_lightning.inference.finding import find_model
from wsss_lightning.model_files import DESCRIPTION, labels_pixels

METHODS = "wsss_lightning.methods"
LABELLING = {
    "points": f"{METHODS}.points.classifier.PointClassifierModule",
    "tuned": f"{METHODS}.points.fine_tuning.FineTuningModule",  # by its base class
    "cam": f"{METHODS}.cam.student.Student",
    "theirs": "mypackage.networks.Segmenter",
}
OTHERS = {
    "features": f"{METHODS}.points.hypercolumn_module.HypercolumnModule",
    "localizers": f"{METHODS}.points.localizer_module.LocalizerModule",
    "tags": "wsss_lightning.stages.tag_classifier.TagClassifier",
    "gone": f"{METHODS}.cam.student.NoSuchClass",
}


def describe(store: Path, name: str, target: str) -> Path:
    folder = store / f"{name}-0123456789abcdef"
    folder.mkdir(parents=True)
    (folder / DESCRIPTION).write_text(json.dumps({"module": {"_target_": target}, "inputs": {}}))
    return folder


@pytest.mark.parametrize(("name", "target"), [*LABELLING.items(), *OTHERS.items()])
def test_whether_a_model_labels_pixels_is_told_by_its_class(tmp_path: Path, name: str, target: str) -> None:
    assert labels_pixels(describe(tmp_path, name, target)) == (name in LABELLING)


def test_only_models_that_label_pixels_are_offered_and_all_are_found(tmp_path: Path) -> None:
    folders = {name: describe(tmp_path, name, target) for name, target in (LABELLING | OTHERS).items()}
    (tmp_path / "half-00").mkdir()
    (tmp_path / "half-00" / DESCRIPTION).write_text("{")
    offered = ", ".join(sorted(folders[name].name for name in LABELLING))
    with pytest.raises(InputError, match=rf"There is no model clasifier, .*, which has {offered}\.$"):
        find_model("clasifier", tmp_path)
    with pytest.raises(InputError, match=rf"name the stage that trained it, {offered}\.$"):
        find_model(str(tmp_path), tmp_path)
    assert find_model("features", tmp_path) == folders["features"]
