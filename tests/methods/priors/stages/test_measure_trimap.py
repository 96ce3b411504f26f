from pathlib import Path

import numpy as np
import pytest
import torch
from fake_segmenter import open_voc

from wsss_lightning.data.masks import read_mask, write_mask
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.methods.priors.stages.measure_trimap import measure_trimap
from wsss_lightning.metrics.segmentation import confusion_matrix, trimap


def measure(tmp_path: Path, data: VOCDataModule, widths: list[int]) -> dict[str, float]:
    return measure_trimap(
        out_dir=str(tmp_path), data=data, masks=str(tmp_path / "masks"), widths=widths, progress=False
    )


def test_every_width_is_summed_over_the_images(tmp_path: Path) -> None:
    data, generator = open_voc(tmp_path / "voc"), np.random.default_rng(0)
    sums = {width: torch.zeros(21, 21, dtype=torch.int64) for width in (1, 3, 10)}
    for record in data.records("val"):
        truth = data.read_target(record)
        guess = np.where(generator.random(truth.shape) < 0.7, np.where(truth == 255, 0, truth), 4).astype(np.uint8)
        write_mask(tmp_path / "masks" / f"{record.image_id}.png", guess)
        for width, total in sums.items():
            band = trimap(torch.from_numpy(truth), width)
            counted = torch.where(band, torch.from_numpy(truth), 255)
            total += confusion_matrix(torch.from_numpy(guess), counted, 21)
    found = measure(tmp_path, data, [1, 3, 10])
    accuracy = {width: float(total.diagonal().sum() / total.sum()) for width, total in sums.items()}
    expected = {f"val/trimap/{width}": value for width, value in accuracy.items()}
    assert found == pytest.approx({"val/trimap": np.mean(list(accuracy.values())), **expected})


def test_the_truth_is_right_everywhere_and_indices_are_the_data_sets_own(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc", classes=["cow", "cat"])
    for record in data.records("val"):
        assert record.mask is not None
        truth = read_mask(record.mask)
        write_mask(tmp_path / "masks" / f"{record.image_id}.png", np.where(truth == 255, 0, truth))
    assert set(measure(tmp_path, data, [2, 5]).values()) == {1.0}


def test_a_missing_prediction_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"2007_000006\.png does not exist"):
        measure(tmp_path, open_voc(tmp_path / "voc"), [1])
