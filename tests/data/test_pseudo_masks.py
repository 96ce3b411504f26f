import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_data import write_voc
from PIL import Image

from wsss_lightning.data.masks import write_mask
from wsss_lightning.data.pseudo_masks import with_pseudo_masks
from wsss_lightning.data.transforms import crop_augmentation
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.errors import InputError

CLASSES = ["bicycle", "aeroplane"]  # indices 2 and 1 of VOC
BLACK, UNIT = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data set whose images are black left of a column and white right of it; so are the pseudo-masks, 0 and 2."""
    write_voc(tmp_path)
    for number, path in enumerate(sorted((tmp_path / "JPEGImages").iterdir())):
        right = np.zeros((24, 32), bool)
        right[:, 8 + 2 * number :] = True
        pixels = np.where(right[..., None], 255, 0).astype(np.uint8).repeat(3, axis=2)
        Image.fromarray(pixels).save(path, quality=100)
        write_mask(tmp_path / "own" / f"{path.stem}.png", np.where(right, 2, 0).astype(np.uint8))
    return tmp_path


def _open(root: Path, **changes: Any) -> VOCDataModule:
    settings = {"classes": CLASSES, "train_list": "train", "pseudo_masks": root / "own", "mean": BLACK, "std": UNIT}
    return VOCDataModule(root=root, **{**settings, **changes})


def _masks_follow_images(batch: dict[str, Any]) -> bool:
    white, mask = batch["image"][:, 0] > 0.5, batch["mask"]
    inside = mask != 255  # a crop may reach beyond the image
    return bool((white == (mask == 1))[inside].float().mean() > 0.9)


def test_training_batches_have_the_masks_of_the_folder(root: Path) -> None:
    batches = list(_open(root).train_dataloader())
    assert len(batches) == 3
    for batch in batches:
        assert (batch["mask"].dtype, batch["mask"].shape) == (torch.int64, (1, 24, 32))
        assert batch["mask"].unique().tolist() == [0, 1]  # index 2 is the first of the kept classes
        assert _masks_follow_images(batch)


def test_masks_are_augmented_together_with_images(root: Path) -> None:
    data = _open(root, augmentation=crop_augmentation((16, 16), mean=BLACK), steps=30)
    batches = list(data.train_dataloader())
    assert all(batch["mask"].shape == (1, 16, 16) and _masks_follow_images(batch) for batch in batches)
    assert len({tuple(batch["mask"].flatten().tolist()) for batch in batches}) > 5


def test_masks_are_resized_with_images(root: Path) -> None:
    (batch,) = _open(root, size=(12, 16), batch_size=3).train_dataloader()
    assert batch["mask"].shape == (3, 12, 16) and _masks_follow_images(batch)


def test_only_training_batches_have_masks_and_no_ground_truth_is_opened(root: Path) -> None:
    before = [batch["mask"] for batch in _open(root).train_dataloader()]
    for name in ("SegmentationClass", "SegmentationClassAug"):
        shutil.rmtree(root / name)
    data = _open(root)
    assert all(torch.equal(batch["mask"], mask) for batch, mask in zip(data.train_dataloader(), before, strict=True))
    assert not any("mask" in batch for batch in [*data.val_dataloader(), *data.predict_dataloader()])


def test_a_missing_mask_is_named_with_the_number_of_all(root: Path) -> None:
    for image_id in ("2007_000002", "2008_000003"):
        (root / "own" / f"{image_id}.png").unlink()
    with pytest.raises(InputError, match=r"own/2007_000002\.png does not exist, 2 of 3 images have no mask: .*drop"):
        _open(root).train_dataloader()


def test_images_without_a_mask_are_left_out_and_counted(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = _open(root, missing="drop")
    assert len(data.train_dataset()) == 3
    (root / "own" / "2007_000002.png").unlink()
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="wsss_lightning"):
        ids = [batch["image_id"] for batch in data.train_dataloader()]
    assert sorted(ids) == [["2007_000001"], ["2008_000003"]]
    said = [record.message for record in caplog.records]
    assert said == [f"1 of 3 images have no mask in {root / 'own'}: they are left out"]
    assert len(data.dataset("train")) == 3


def test_no_mask_at_all_is_an_error(root: Path) -> None:
    with pytest.raises(InputError, match="nowhere has none of the masks: there is no image to train on"):
        _open(root, pseudo_masks=root / "nowhere", missing="drop").train_dataloader()


def test_another_word_is_refused(root: Path) -> None:
    with pytest.raises(InputError, match="missing='skip' is unknown: choose raise or drop"):
        with_pseudo_masks([], root, missing="skip")  # type: ignore[arg-type]


def test_a_mask_of_another_size_is_named(root: Path) -> None:
    write_mask(root / "own" / "2007_000001.png", np.zeros((10, 10), np.uint8))
    with pytest.raises(InputError, match=r"own/2007_000001\.png has size \(10, 10\)"):
        list(_open(root).train_dataloader())
