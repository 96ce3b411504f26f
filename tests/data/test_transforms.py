from typing import Any

import albumentations as A
import cv2
import numpy as np
import pytest
from torch.utils.data import DataLoader, Dataset

from wsss_lightning.data.transforms import augment, augment_with_mask, picture_augmentation

SIZE = (24, 32)


def _picture(number: int = 0) -> np.ndarray:
    small = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(small, (64, 48))


def _nested() -> A.Compose:
    one = A.OneOf([A.HorizontalFlip(p=1), A.VerticalFlip(p=1), A.GaussNoise(p=1)], p=0.9)
    some = A.SomeOf([A.RandomBrightnessContrast(p=1), A.Rotate(p=1), A.CoarseDropout(p=1)], n=2, p=0.9)
    return A.Compose([one, A.Sequential([A.RandomCrop(20, 20), A.ISONoise(p=0.5)], p=1), some])


class Pictures(Dataset[Any]):
    def __init__(self, transform: A.Compose, step: int) -> None:
        self.transform, self.step = transform, step

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> np.ndarray:
        return augment(self.transform, _picture(index), seed=3, step=self.step, image_id=str(index))


@pytest.mark.parametrize("make", [lambda: picture_augmentation(SIZE), _nested], ids=["picture", "nested"])
def test_workers_do_not_change_a_picture(make: Any) -> None:
    alone, shared = (
        [batch.numpy() for batch in DataLoader(Pictures(make(), step=5), batch_size=2, num_workers=workers)]
        for workers in (0, 2)
    )
    assert len(alone) == 3
    assert all(np.array_equal(a, b) for a, b in zip(alone, shared, strict=True))


@pytest.mark.parametrize("make", [lambda: picture_augmentation(SIZE), _nested], ids=["picture", "nested"])
def test_history_and_global_generators_do_not_change_a_picture(make: Any) -> None:
    transform = make()
    first = augment(transform, _picture(), seed=0, step=7, image_id="a")
    for step in range(5):
        augment(transform, _picture(), seed=0, step=step, image_id="b")
    np.random.seed(1)  # noqa: NPY002
    assert np.array_equal(first, augment(transform, _picture(), seed=0, step=7, image_id="a"))
    assert np.array_equal(first, augment(make(), _picture(), seed=0, step=7, image_id="a"))


@pytest.mark.parametrize("change", [{"seed": 1}, {"step": 1}, {"image_id": "b"}], ids=str)
@pytest.mark.parametrize("make", [lambda: picture_augmentation(SIZE), _nested], ids=["picture", "nested"])
def test_seed_step_and_image_each_change_the_picture(make: Any, change: dict[str, Any]) -> None:
    key: dict[str, Any] = {"seed": 0, "step": 0, "image_id": "a"}
    assert not np.array_equal(augment(make(), _picture(), **key), augment(make(), _picture(), **{**key, **change}))


def test_a_picture_keeps_its_kind() -> None:
    picture = _picture()
    before = picture.copy()
    result = augment(picture_augmentation(SIZE), picture, seed=0, step=0, image_id="a")
    assert (result.dtype, result.shape) == (np.uint8, (*SIZE, 3))
    assert result.flags.c_contiguous
    assert np.array_equal(picture, before)


def test_no_change_is_only_a_resize_and_a_mirroring() -> None:
    transform = picture_augmentation((48, 64), scale=(1.0, 1.0), shift=0.0, contrast=0.0)
    picture = _picture()
    results = [augment(transform, picture, seed=0, step=step, image_id="a") for step in range(64)]
    plain = sum(np.array_equal(result, picture) for result in results)
    mirrored = sum(np.array_equal(result, picture[:, ::-1]) for result in results)
    assert plain + mirrored == 64
    assert 16 <= mirrored <= 48


def test_mirroring_is_independent_of_brightness() -> None:
    transform = picture_augmentation((8, 8), scale=(1.0, 1.0), shift=0.0, contrast=0.4)
    picture = np.full((8, 8, 3), 100, np.uint8)
    picture[:, 4:] = 120
    results = [augment(transform, picture, seed=0, step=step, image_id="a").astype(int) for step in range(400)]
    mirrored = np.array([result[0, 0, 0] > result[0, 7, 0] for result in results])
    brightness = np.array([result.mean() for result in results])
    assert abs(np.corrcoef(mirrored, brightness)[0, 1]) < 0.2  # 4 standard errors


def test_empty_parts_of_the_frame_are_the_mean_and_ignored() -> None:
    transform = picture_augmentation(SIZE, mean=(0.2, 0.4, 0.6), scale=(0.5, 0.5), shift=0.0, contrast=0.0)
    mask = np.full((48, 64), 7, np.uint8)
    image, moved = augment_with_mask(transform, _picture(), mask, seed=0, step=0, image_id="a")
    assert image[0, 0].tolist() == [51, 102, 153]
    assert moved[0, 0] == 255
    assert moved[12, 16] == 7
    assert set(np.unique(moved).tolist()) == {7, 255}
    assert (moved == 7).mean() == pytest.approx(1 / 4, abs=0.06)


def test_the_mask_moves_with_its_image() -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[12:36, 8:30] = 255
    mask = (picture[..., 0] > 0).astype(np.uint8)
    transform = picture_augmentation((48, 64), mean=(0, 0, 0), contrast=0.0)
    for step in range(10):
        image, moved = augment_with_mask(transform, picture, mask, seed=0, step=step, image_id="a")
        assert moved.shape == (48, 64)
        assert ((image[..., 0] > 127) != (moved == 1)).mean() < 0.02


def test_a_mask_does_not_change_the_image() -> None:
    transform = picture_augmentation(SIZE)
    image, _ = augment_with_mask(transform, _picture(), np.zeros((48, 64), np.uint8), seed=0, step=3, image_id="a")
    assert np.array_equal(image, augment(transform, _picture(), seed=0, step=3, image_id="a"))
