"""A fault in the user's files ends in one sentence that names the file, with nothing half-written."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fake_data import write_voc
from PIL import Image

from wsss_lightning.cli import main
from wsss_lightning.data.masks import read_mask, write_mask

NAMES = ("cat", "dog", "horse")
FAST = [
    "data=voc",
    "data.train_list=train",
    "data.size=[96,96]",  # fc6 of `tiny` needs three pooled cells
    f"+data.names=[{','.join(NAMES)}]",
    "backbone.weights=null",
    "tuning.localizer.hidden=4",
    "tuning.classifier.steps=3",
    "trainer.accelerator=cpu",
    "runtime.progress=false",
    "runtime.processes=1",
]


def empty_list(root: Path) -> Path:
    path = root / "ImageSets" / "Segmentation" / "train.txt"
    path.write_text("\n")
    return path


def missing_image(root: Path) -> Path:
    path = root / "JPEGImages" / "2007_000002.jpg"
    path.unlink()
    return path


def truncated_image(root: Path) -> Path:
    path = root / "JPEGImages" / "2007_000002.jpg"
    path.write_bytes(path.read_bytes()[:-200])
    return path


def mask_path(root: Path) -> Path:
    return root / "SegmentationClass" / "2007_000006.png"


def rgb_mask(root: Path) -> Path:
    path = mask_path(root)
    Image.open(path).convert("RGB").save(path)
    return path


def mask_of_another_size(root: Path) -> Path:
    path = mask_path(root)
    write_mask(path, read_mask(path)[:-1])
    return path


def unknown_index(root: Path) -> Path:
    path = mask_path(root)
    mask = read_mask(path).copy()
    mask[0, 0] = 77
    write_mask(path, mask)
    return path


def tag_file_without_an_id(root: Path) -> Path:
    for annotation in (root / "Annotations").glob("*.xml"):
        annotation.unlink()
    path = root / "cls_labels.npy"
    table = {2007000001: np.ones(len(NAMES), np.float32)}
    np.save(path, np.array(table, dtype=object), allow_pickle=True)
    return path


FAULTS = [
    empty_list,
    missing_image,
    truncated_image,
    rgb_mask,
    mask_of_another_size,
    unknown_index,
    tag_file_without_an_id,
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_one_sentence_names_the_file(
    fault: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, runs = tmp_path / "VOC2012", tmp_path / "runs"
    write_voc(data, names=NAMES)
    path = fault(data)
    monkeypatch.setattr("sys.argv", ["wsss", "run", *FAST, f"data.root={data}", f"paths.root={runs}"])
    with pytest.raises(SystemExit) as stop:
        main()
    # A string as the exit status is what Python prints before it exits with status 1.
    assert isinstance(stop.value.code, str)
    assert stop.value.code.startswith("wsss: ") and path.name in stop.value.code
    assert "\n" not in stop.value.code and "Traceback" not in capsys.readouterr().err
    assert not [p for p in runs.rglob("*") if p.suffix == ".tmp" or p.name.startswith(".val")]


def test_after_the_remedy_the_run_goes_on_from_finished_stages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, runs = tmp_path / "VOC2012", tmp_path / "runs"
    write_voc(data, names=NAMES)
    path = rgb_mask(data)
    arguments = ["wsss", "run", *FAST, f"data.root={data}", f"paths.root={runs}"]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit):
        main()
    finished = {record.parent.name: json.loads(record.read_text()) for record in runs.rglob("stage.json")}
    assert {record["stage"] for record in finished.values()} >= {"features", "localizers", "points", "classifier"}
    assert not any(record["stage"] == "evaluation" for record in finished.values())
    assert path.exists()
