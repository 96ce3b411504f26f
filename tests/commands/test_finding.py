from __future__ import annotations

import json
from pathlib import Path

import pytest

from wsss_lightning.commands.finding import find_model
from wsss_lightning.errors import InputError
from wsss_lightning.model_files import DESCRIPTION, labels_pixels
from wsss_lightning.pipeline.store import RECORD

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


def test_models_of_one_name_are_told_apart_by_their_settings(tmp_path: Path) -> None:
    for seed in (0, 1):
        folder = tmp_path / f"points-{seed}123456789abcdef"
        folder.mkdir()
        (folder / DESCRIPTION).write_text(json.dumps({"module": {"_target_": LABELLING["points"]}, "inputs": {}}))
        (folder / RECORD).write_text(json.dumps({"node": {"steps": 5, "seed": seed}}))
    several = r"points-0123456789abcdef \(seed=0\), points-1123456789abcdef \(seed=1\)\.$"
    with pytest.raises(InputError, match=f"several models points in .*: name one of {several}"):
        find_model("points", tmp_path)


def test_models_that_differ_by_what_they_read_are_told_apart_by_its_settings(tmp_path: Path) -> None:
    for digit, sampler in enumerate(("TopK", "Spatial")):
        model, bank = tmp_path / f"points-{digit}123456789abcdef", tmp_path / f"bank-{digit}fffffffffffffff"
        model.mkdir()
        bank.mkdir()
        (model / DESCRIPTION).write_text(json.dumps({"module": {"_target_": LABELLING["points"]}, "inputs": {}}))
        (bank / RECORD).write_text(json.dumps({"node": {"sampler": {"_target_": f"a.b.{sampler}", "k": 20}}}))
        (model / RECORD).write_text(json.dumps({"node": {"points": [f"<artifact:{digit}fffffffffffffff0123>/bank"]}}))
    several = r"points-0123456789abcdef \(sampler=TopK\), points-1123456789abcdef \(sampler=Spatial\)\.$"
    with pytest.raises(InputError, match=f"name one of {several}"):
        find_model("points", tmp_path)
    for digit in (0, 1):  # records that read themselves end
        record = tmp_path / f"bank-{digit}fffffffffffffff" / RECORD
        record.write_text(json.dumps({"node": {"maps": f"<artifact:{digit}fffffffffffffff>"}}))
    with pytest.raises(InputError, match=r"points-0123456789abcdef \(maps=0fffffff\)"):
        find_model("points", tmp_path)


def test_a_name_of_a_stage_and_of_a_folder_here_is_refused_for_what_both_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = describe(tmp_path / "store", "points", LABELLING["points"])
    monkeypatch.chdir(tmp_path)
    exported = describe(tmp_path, "exported", LABELLING["points"]).rename(tmp_path / "points")
    with pytest.raises(InputError, match=rf"^points is here and in .*store: give {exported}, or {stage.name}\.$"):
        find_model("points", tmp_path / "store")
    assert find_model(str(exported), tmp_path / "store") == exported
    assert find_model("points-0123", tmp_path / "store") == find_model("0123456789", tmp_path / "store") == stage
    monkeypatch.chdir(tmp_path / "store")
    assert find_model(stage.name, tmp_path / "store").resolve() == stage
