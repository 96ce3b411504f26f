import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from fake_data import write_voc
from typer.testing import CliRunner

from wsss_lightning.cli import app, main
from wsss_lightning.data.masks import read_mask, write_mask
from wsss_lightning.errors import InputError

VAL = ("2007_000006", "2007_000007")


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    write_voc(tmp_path / "VOC2012")
    return tmp_path / "VOC2012"


def _run(folder: Path, voc: Path, *more: str) -> Result:
    where = [str(folder), "voc", "--root", str(voc), "--processes", "1"]
    return CliRunner().invoke(app, ["evaluate", *where, *more])


def test_the_folder_of_an_import_is_one(voc: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "masks").symlink_to(voc / "SegmentationClassAug")
    (tmp_path / "mine" / "import.json").write_text("{}")
    assert "100.00" in _run(tmp_path / "mine", voc).stdout


def test_masks_of_anyone_are_scored_as_text_json_and_pictures(voc: Path, tmp_path: Path) -> None:
    outputs = ["--json", str(tmp_path / "a.json"), "--plots", str(tmp_path / "plots")]
    done = _run(voc / "SegmentationClassAug", voc, "data.classes=[bus,car,cat]", *outputs)
    assert done.exit_code == 0, done.exception
    found = json.loads((tmp_path / "a.json").read_text())
    # The augmented masks fill the borders, which the true ones leave out, with the class: no pixel is wrong.
    assert found["miou"] == 1 and found["labels"] == ["background", "bus", "car", "cat"]
    assert found["images"] == 2 and len(found["unused_files"]) == 5
    assert "100.00" in done.stdout and "Files that belong to no image of the list are not used, 5 in all" in done.stdout
    for path in [tmp_path / "a.json", *(tmp_path / "plots").iterdir()]:
        assert f"written to {path}" in done.stdout


def test_cams_are_swept_on_the_split_that_is_asked_for(voc: Path, tmp_path: Path) -> None:
    for image_id in ("2007_000001", "2007_000002", "2008_000003"):
        mask = read_mask(voc / "SegmentationClass" / f"{image_id}.png")
        shown = [index for index in np.unique(mask).tolist() if index not in (0, 255)]
        content: Any = {index - 1: np.where(mask == index, 0.9, 0.25) for index in shown}
        (tmp_path / "cams").mkdir(exist_ok=True)
        np.save(tmp_path / "cams" / f"{image_id}.npy", content)
    done = _run(tmp_path / "cams", voc, "data.train_list=train", "--split", "train", "--json", str(tmp_path / "a.json"))
    assert done.exit_code == 0, done.exception
    assert "threshold 0.25 was chosen on these very masks, the train split (list train)" in done.stdout
    found = json.loads((tmp_path / "a.json").read_text())
    assert (found["miou"], found["threshold"], found["images"]) == (1, 0.25, 3)
    assert len(found["miou_by_threshold"]) == 60 and found["miou_by_threshold"]["0.24"] < 1
    fixed = _run(tmp_path / "cams", voc, "data.train_list=train", "--split", "train", "--threshold", "0.2")
    assert "The background threshold 0.2 was given." in fixed.stdout


def test_what_is_missing_ends_it_with_one_sentence(
    voc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_mask(tmp_path / "masks" / f"{VAL[1]}.png", np.zeros((24, 32), np.uint8))
    outputs = ["--json", str(tmp_path / "a.json"), "--plots", str(tmp_path / "plots")]
    arguments = ["wsss", "evaluate", str(tmp_path / "masks"), "voc", "--root", str(voc), *outputs]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit) as stop:
        main()
    captured = capsys.readouterr()
    assert stop.value.code == 1 and captured.out == ""
    assert captured.err.startswith("wsss: ") and captured.err.count("\n") == 1
    assert f"no prediction of 1 of the 2 images of the val split (list val): {VAL[0]}; add" in captured.err
    assert not (tmp_path / "a.json").exists() and not (tmp_path / "plots").exists()


def test_partial_scores_what_is_there_and_says_so(voc: Path, tmp_path: Path) -> None:
    write_mask(tmp_path / "masks" / f"{VAL[1]}.png", np.zeros((24, 32), np.uint8))
    done = _run(tmp_path / "masks", voc, "--partial", "--json", str(tmp_path / "a.json"))
    assert done.exit_code == 0, done.exception
    said = f"Partial: 1 of 2 images are scored; without a prediction: {VAL[0]}."
    assert said in done.stdout and said in json.loads((tmp_path / "a.json").read_text())["notes"]


@pytest.mark.parametrize("option", [("--split", "test"), ("--threshold", "1.5"), ("--root",)])
def test_options_out_of_range_are_usage_errors(voc: Path, option: tuple[str, ...]) -> None:
    assert _run(voc, voc, *option).exit_code == 2


def test_bad_input_is_an_input_error(voc: Path, tmp_path: Path) -> None:
    for folder, override in ((tmp_path / "none", []), (voc / "SegmentationClass", ["data.classes=[unicorn]"])):
        assert isinstance(_run(folder, voc, *override).exception, InputError)
