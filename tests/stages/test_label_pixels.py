from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_segmenter import open_voc
from numpy.typing import NDArray

from wsss_lightning.data.masks import read_mask
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.ops.crf import dense_crf
from wsss_lightning.scoring.cams import write_cam_file
from wsss_lightning.stages.label_pixels import background_and_classes, label_pixels

SIZE = (24, 32)
WITHOUT_PAIRS = partial(
    dense_crf,
    spatial_weight=0,
    spatial_sigma=1,
    bilateral_weight=0,
    bilateral_sigma=1,
    color_sigma=1,
    iterations=1,
)


def _ramp(*, count: int) -> NDArray[np.float32]:
    """Maps whose columns rise from 0 to 1; the second in the upper half alone."""
    maps = np.broadcast_to(np.linspace(0, 1, SIZE[1], dtype=np.float32), (count, *SIZE)).copy()
    maps[1:, SIZE[0] // 2 :] = 0
    maps[0, : SIZE[0] // 2] *= 0.5
    return maps


@pytest.fixture
def data(tmp_path: Path) -> VOCDataModule:
    data = open_voc(tmp_path / "voc")
    (tmp_path / "cams").mkdir()
    for record in data.records("train"):
        classes = np.flatnonzero(record.tags)
        write_cam_file(tmp_path / "cams" / f"{record.image_id}.npy", classes=classes, maps=_ramp(count=len(classes)))
    return data


def label(tmp_path: Path, data: VOCDataModule, **settings: Any) -> dict[str, float]:
    defaults: dict[str, Any] = {"background": 0.2, "foreground": None, "crf": None, "split": "train"}
    return label_pixels(
        out_dir=str(tmp_path / "out"),
        data=data,
        cams=str(tmp_path),
        workers=1,
        progress=False,
        **{**defaults, **settings},
    )


@pytest.mark.parametrize("crf", [None, WITHOUT_PAIRS])
def test_the_highest_map_gives_the_label_and_a_constant_is_background(
    tmp_path: Path, data: VOCDataModule, crf: Any
) -> None:
    assert label(tmp_path, data, crf=crf) == {"train/empty": 0.0}
    for record in data.records("train"):
        first, second = np.flatnonzero(record.tags)[:2] + 1
        maps = _ramp(count=2).astype(np.float16).astype(np.float32)
        expected = np.where(maps[0] > 0.2, first, 0)
        expected[maps[1] > np.maximum(maps[0], 0.2)] = second
        assert np.array_equal(read_mask(tmp_path / "out" / "masks" / f"{record.image_id}.png"), expected)
        assert set(np.unique(expected)) == {0, first, second}


@pytest.mark.parametrize("crf", [None, WITHOUT_PAIRS])
def test_what_lies_between_two_thresholds_is_ignored(tmp_path: Path, data: VOCDataModule, crf: Any) -> None:
    label(tmp_path, data, foreground=0.6, crf=crf)
    record = data.records("train")[0]
    mask, best = read_mask(tmp_path / "out" / "masks" / f"{record.image_id}.png"), _ramp(count=2).max(axis=0)
    assert np.array_equal(mask == 0, best <= 0.2)
    assert np.array_equal(mask == 255, (best > 0.2) & (best < 0.6))


def test_masks_that_show_nothing_are_counted_and_warned_of(
    tmp_path: Path, data: VOCDataModule, caplog: pytest.LogCaptureFixture
) -> None:
    record = data.records("train")[0]
    classes = np.flatnonzero(record.tags)
    maps = np.zeros((len(classes), *SIZE), np.float32)
    write_cam_file(tmp_path / "cams" / f"{record.image_id}.npy", classes=classes, maps=maps)
    assert label(tmp_path, data) == {"train/empty": pytest.approx(1 / 3)}
    assert "1 of 3 masks of tagged images of train are empty" in caplog.text


def test_thresholds_that_cannot_be_meant_are_refused(tmp_path: Path, data: VOCDataModule) -> None:
    with pytest.raises(InputError, match=r"needs background=0\.2 below it"):
        label(tmp_path, data, foreground=0.1)
    for background in (1.0, -0.1):
        with pytest.raises(InputError, match=rf"background={background}: maps are within 0\.\.1"):
            label(tmp_path, data, background=background)


def test_probabilities_are_the_maps_and_the_constant_divided_by_their_sum() -> None:
    probs = background_and_classes(np.array([[[0.3, 0.0]], [[0.6, 0.0]]], np.float32), 0.1)
    np.testing.assert_allclose(probs[:, 0, 0], [0.1, 0.3, 0.6], rtol=1e-6)
    np.testing.assert_allclose(probs[:, 0, 1], [1, 0, 0])
