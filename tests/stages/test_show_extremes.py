import json
from pathlib import Path

import numpy as np
import pytest
from fake_data import write_voc
from fake_segmenter import open_voc

from wsss_lightning.data.images import read_image
from wsss_lightning.data.masks import colorize, write_mask
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.stages.evaluate import evaluate
from wsss_lightning.stages.show_extremes import image_mious, show_extremes

VAL = tuple(f"2007_00000{number}" for number in range(4, 9))
RIGHT = dict(zip(VAL, (0.9, 0.2, 0.6, 0.4, 0.8), strict=True))  # share of the rows that a prediction gets right


@pytest.fixture
def data(tmp_path: Path) -> VOCDataModule:
    """Five val images with predictions that are right to different degrees, and scored."""
    write_voc(tmp_path / "voc", val=VAL)
    opened = open_voc(tmp_path / "voc")
    for record in opened.records("val"):
        truth = opened.read_target(record)
        guess = np.where(truth == 255, 0, truth)
        guess[int(RIGHT[record.image_id] * len(guess)) :] = 20
        write_mask(tmp_path / "masks" / f"{record.image_id}.png", guess)
    masks = str(tmp_path / "masks")
    options = {"extra_masks": {}, "extra_panels": None, "groups": {}, "loggers": {}}
    evaluate(out_dir=str(tmp_path / "scored"), data=opened, masks=masks, panels=0, progress=False, **options)  # type: ignore[arg-type]
    return opened


def show(tmp_path: Path, data: VOCDataModule, which: str, panels: int = 2) -> dict[str, float]:
    return show_extremes(
        out_dir=str(tmp_path / which),
        data=data,
        evaluation=str(tmp_path / "scored"),
        masks={"prediction": str(tmp_path / "masks")},
        which=which,  # type: ignore[arg-type]
        panels=panels,
    )


@pytest.mark.parametrize(("which", "expected"), [("best", {VAL[0], VAL[4]}), ("worst", {VAL[1], VAL[3]})])
def test_the_images_of_highest_or_lowest_mean_iou_are_drawn(
    tmp_path: Path, data: VOCDataModule, which: str, expected: set[str]
) -> None:
    metrics, scores = show(tmp_path, data, which), image_mious(tmp_path / "scored")
    assert {path.name for path in (tmp_path / which / "panels").iterdir()} == expected
    assert metrics == {"val/image_miou": pytest.approx(np.mean([scores[image_id] for image_id in expected]))}


def test_pictures_are_those_that_a_report_shows(tmp_path: Path, data: VOCDataModule) -> None:
    show(tmp_path, data, "best", panels=1)
    panel, record = tmp_path / "best" / "panels" / VAL[0], data.records("val")[0]
    assert {path.name for path in panel.iterdir()} == {"image.png", "truth.png", "prediction.png"}
    assert np.array_equal(read_image(panel / "image.png"), read_image(record.image))
    assert np.array_equal(read_image(panel / "truth.png"), colorize(data.read_target(record)))
    assert json.loads((tmp_path / "best" / "classes.json").read_text())["names"][:2] == ["background", "aeroplane"]


def test_an_image_without_a_counted_pixel_is_neither(tmp_path: Path, data: VOCDataModule) -> None:
    matrices = np.load(tmp_path / "scored" / "confusion.npy")
    matrices[0] = 0
    np.save(tmp_path / "scored" / "confusion.npy", matrices)
    show(tmp_path, data, "best", panels=5)
    assert {path.name for path in (tmp_path / "best" / "panels").iterdir()} == set(VAL[1:])
