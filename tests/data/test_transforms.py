from collections.abc import Callable
from functools import partial
from typing import Any

import albumentations as A
import cv2
import numpy as np
import pytest
from hydra.utils import instantiate
from torch.utils.data import DataLoader, Dataset

from wsss_lightning.data.transforms import (
    augment,
    central_augmentation,
    crop_augmentation,
    jitter_augmentation,
    picture_augmentation,
    priors_augmentation,
)

Make = Callable[[], A.Compose]
SIZE = (24, 32)
KEY: dict[str, Any] = {"seed": 0, "step": 0, "image_id": "a"}


def _nested() -> A.Compose:
    one = A.OneOf([A.HorizontalFlip(p=1), A.VerticalFlip(p=1), A.GaussNoise(p=1)], p=0.9)
    some = A.SomeOf([A.RandomBrightnessContrast(p=1), A.Rotate(p=1), A.CoarseDropout(p=1)], n=2, p=0.9)
    return A.Compose([one, A.Sequential([A.RandomCrop(20, 20), A.ISONoise(p=0.5)], p=1), some])


FACTORIES: dict[str, Make] = {
    "picture": partial(picture_augmentation, SIZE),
    "crop": partial(crop_augmentation, SIZE),
    "jitter": partial(jitter_augmentation, SIZE),
    "priors": partial(priors_augmentation, SIZE, frame=(28, 40)),
}
every_factory = pytest.mark.parametrize("make", FACTORIES.values(), ids=FACTORIES)
every_transform = pytest.mark.parametrize("make", [*FACTORIES.values(), _nested], ids=[*FACTORIES, "nested"])


def _picture(number: int = 0) -> np.ndarray:
    small = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(small, (64, 48))


def _moved(transform: A.Compose, picture: np.ndarray, **key: Any) -> np.ndarray:
    return augment(transform, {"image": picture}, **{**KEY, **key})["image"]


class Pictures(Dataset[Any]):
    def __init__(self, transform: A.Compose, step: int) -> None:
        self.transform, self.step = transform, step

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> np.ndarray:
        return _moved(self.transform, _picture(index), seed=3, step=self.step, image_id=str(index))


@pytest.mark.parametrize("make", [FACTORIES["crop"], _nested], ids=["crop", "nested"])
def test_workers_do_not_change_a_picture(make: Make) -> None:
    alone, shared = (
        [batch.numpy() for batch in DataLoader(Pictures(make(), step=5), batch_size=2, num_workers=workers)]
        for workers in (0, 2)
    )
    assert len(alone) == 3
    assert all(np.array_equal(a, b) for a, b in zip(alone, shared, strict=True))


@every_transform
def test_history_and_global_generators_do_not_change_a_picture(make: Make) -> None:
    transform = make()
    first = _moved(transform, _picture(), step=7)
    for step in range(5):
        _moved(transform, _picture(), step=step, image_id="b")
    np.random.seed(1)  # noqa: NPY002
    assert np.array_equal(first, _moved(transform, _picture(), step=7))
    assert np.array_equal(first, _moved(make(), _picture(), step=7))


@pytest.mark.parametrize("change", [{"seed": 1}, {"step": 2}, {"image_id": "c"}], ids=str)
@every_transform
def test_seed_step_and_image_each_change_the_picture(make: Make, change: dict[str, Any]) -> None:
    assert not np.array_equal(_moved(make(), _picture()), _moved(make(), _picture(), **change))


@every_factory
@pytest.mark.parametrize("shape", [(48, 64), (90, 40), (9, 11)])
def test_a_picture_of_any_size_keeps_its_kind(make: Make, shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    before, mask = picture.copy(), np.ones(shape, np.uint8)
    result = augment(make(), {"image": picture, "mask": mask}, **KEY)
    assert (result["image"].dtype, result["image"].shape) == (np.uint8, (*SIZE, 3))
    assert (result["mask"].dtype, result["mask"].shape) == (np.uint8, SIZE)
    assert result["image"].flags.c_contiguous and result["mask"].flags.c_contiguous
    assert np.array_equal(picture, before) and np.all(mask == 1)


@every_factory
def test_a_mask_does_not_change_the_image(make: Make) -> None:
    for step in range(5):
        both = augment(make(), {"image": _picture(), "mask": np.zeros((48, 64), np.uint8)}, **{**KEY, "step": step})
        assert np.array_equal(both["image"], _moved(make(), _picture(), step=step))


def test_the_configuration_makes_the_same_augmentations() -> None:
    target = "wsss_lightning.data.transforms"
    nodes: dict[str, dict[str, Any]] = {
        "picture": {"size": [24, 32], "scale": [0.8, 1.2]},
        "crop": {"size": [24, 32], "scale": [0.7, 1.3], "mean": [0.485, 0.456, 0.406]},
        "jitter": {"size": [24, 32], "scale": [0.8, 1.2], "rotation": 15},
        "priors": {"size": [24, 32], "frame": [28, 40]},
    }
    for name, node in nodes.items():
        made = instantiate({"_target_": f"{target}.{name}_augmentation", **node}, _convert_="all")
        assert np.array_equal(_moved(made, _picture()), _moved(FACTORIES[name](), _picture()))


# Where the pixels of a result come from: each pixel of these 200 x 240 pictures tells its own row or column.
ROWS, COLUMNS = np.mgrid[:200, :240].astype(np.uint8)
PLACES = np.stack([ROWS, COLUMNS, np.full_like(ROWS, 7)], axis=-1)
STILL: dict[str, Make] = {
    "picture": partial(picture_augmentation, (120, 144), contrast=0.0, mean=(0, 0, 0)),
    "crop": partial(crop_augmentation, (96, 96), mean=(0, 0, 0)),
    "jitter": partial(jitter_augmentation, (128, 128), contrast=0.0),
    "priors": partial(priors_augmentation, (112, 112), frame=(128, 128)),
}


def _jacobian(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(2, 2): how row and column of the original change by row and by column of the result."""
    at = np.argwhere(known)
    design = np.column_stack([at, np.ones(len(at))])
    return np.linalg.lstsq(design, image[known][:, :2].astype(float), rcond=None)[0][:2].T


@pytest.mark.parametrize("make", STILL.values(), ids=STILL)
def test_image_and_mask_show_the_same_places(make: Make) -> None:
    transform, errors = make(), []
    for step in range(20):
        for channel, mask in enumerate((ROWS, COLUMNS)):
            result = augment(transform, {"image": PLACES, "mask": mask}, **{**KEY, "step": step})
            assert (result["mask"][result["image"][..., 2] == 0] == 255).all()
            # At the border of what is painted the image mixes two places, the mask takes one.
            inner = cv2.erode((result["image"][..., 2] == 7).astype(np.uint8), np.ones((3, 3)), borderValue=0) > 0
            assert inner.mean() > 0.4
            errors.append(result["image"][..., channel][inner].astype(float) - result["mask"][inner])
    found = np.concatenate(errors)
    assert np.abs(found).max() <= 2  # a new pixel is up to 1 / 0.7 old ones wide; and the image is rounded
    assert abs(found.mean()) < 0.2  # OpenCV rounds 0.1 down; a mask read at the corners of pixels is 0.3 away and more


def test_no_change_is_only_a_resize_and_a_mirroring() -> None:
    transform = picture_augmentation((48, 64), scale=(1.0, 1.0), shift=0.0, contrast=0.0)
    picture = _picture()
    results = [_moved(transform, picture, step=step) for step in range(64)]
    plain = sum(np.array_equal(result, picture) for result in results)
    mirrored = sum(np.array_equal(result, picture[:, ::-1]) for result in results)
    assert plain + mirrored == 64
    assert 16 <= mirrored <= 48


def test_mirroring_is_independent_of_brightness() -> None:
    transform = picture_augmentation((8, 8), scale=(1.0, 1.0), shift=0.0, contrast=0.4)
    picture = np.full((8, 8, 3), 100, np.uint8)
    picture[:, 4:] = 120
    results = [_moved(transform, picture, step=step).astype(int) for step in range(400)]
    mirrored = np.array([result[0, 0, 0] > result[0, 7, 0] for result in results])
    brightness = np.array([result.mean() for result in results])
    assert abs(np.corrcoef(mirrored, brightness)[0, 1]) < 0.2  # 4 standard errors


def test_empty_parts_of_the_frame_are_the_mean_and_ignored() -> None:
    transform = picture_augmentation(SIZE, mean=(0.2, 0.4, 0.6), scale=(0.5, 0.5), shift=0.0, contrast=0.0)
    result = augment(transform, {"image": _picture(), "mask": np.full((48, 64), 7, np.uint8)}, **KEY)
    assert result["image"][0, 0].tolist() == [51, 102, 153]
    assert result["mask"][0, 0] == 255
    assert result["mask"][12, 16] == 7
    assert set(np.unique(result["mask"]).tolist()) == {7, 255}
    assert (result["mask"] == 7).mean() == pytest.approx(1 / 4, abs=0.06)


def test_crops_have_the_scales_of_the_authors_code_and_lie_anywhere() -> None:
    transform = crop_augmentation((64, 64))
    results = [_moved(transform, PLACES, step=step) for step in range(300)]
    jacobians = np.array([_jacobian(result, np.ones((64, 64), bool)) for result in results])
    scales = 1 / jacobians[:, 0, 0]
    assert scales.min() > 0.69 and scales.max() < 1.31
    assert np.allclose(np.quantile(scales, [0.1, 0.5, 0.9]), [0.76, 1.0, 1.24], atol=0.06)  # uniform on 0.7..1.3
    assert np.allclose(np.abs(jacobians[:, 1, 1]), jacobians[:, 0, 0], atol=0.02)
    assert np.abs(jacobians[:, [0, 1], [1, 0]]).max() < 1e-3
    assert 0.4 < (jacobians[:, 1, 1] < 0).mean() < 0.6  # 3.5 standard errors
    first, last = results[0][0, 0], results[0][-1, -1]
    assert not np.array_equal(first, last)
    corners = np.array([[result[..., 0].min(), result[..., 1].min()] for result in results])
    assert (corners.min(axis=0) <= 5).all() and (corners.max(axis=0) >= [130, 170]).all()


def test_a_crop_of_a_smaller_image_shows_all_of_it_and_ignores_the_rest() -> None:
    transform = crop_augmentation((40, 50), mean=(0.2, 0.4, 0.6), scale=(1.0, 1.0))
    picture, mask = np.full((20, 30, 3), 9, np.uint8), np.full((20, 30), 3, np.uint8)
    places = set()
    for step in range(30):
        result = augment(transform, {"image": picture, "mask": mask}, **{**KEY, "step": step})
        shown = result["mask"] == 3
        assert shown.sum() == 600 and (result["mask"][~shown] == 255).all()
        assert (result["image"][shown] == 9).all() and (result["image"][~shown] == [51, 102, 153]).all()
        places.add(tuple(np.argwhere(shown)[0]))
    assert len(places) > 10


def test_without_jitter_the_middle_of_the_image_is_left() -> None:
    transform = jitter_augmentation((48, 48), rotation=0.0, scale=(1.0, 1.0), contrast=0.0)
    results = [_moved(transform, _picture(), step=step) for step in range(20)]
    middle = _picture()[:, 8:56]
    plain = [np.array_equal(result, middle) for result in results]
    assert all(p or np.array_equal(r, middle[:, ::-1]) for p, r in zip(plain, results, strict=True))
    assert 0 < sum(plain) < 20


def test_jitter_turns_and_scales_within_its_limits() -> None:
    transform = jitter_augmentation((200, 200), rotation=15.0, scale=(0.8, 1.25), contrast=0.0)
    middle = np.zeros((200, 200), bool)
    middle[50:150, 50:150] = True  # what no turn and no scale fills by mirroring
    angles, scales = [], []
    for step in range(60):
        (by_row, by_column), _ = _jacobian(_moved(transform, PLACES, step=step), middle)
        angles.append(np.degrees(np.arctan2(by_column, by_row)))
        scales.append(1 / np.hypot(by_row, by_column))
    assert -15.1 < min(angles) < -10 and 10 < max(angles) < 15.1
    assert 0.79 < min(scales) < 0.86 and 1.19 < max(scales) < 1.26


def test_jitter_mirrors_what_it_does_not_see() -> None:
    transform = jitter_augmentation((40, 40), rotation=0.0, scale=(0.5, 0.5), contrast=0.0)
    rows = np.broadcast_to(np.arange(40, dtype=np.uint8)[:, None], (40, 40))
    result = augment(transform, {"image": np.stack([rows] * 3, axis=-1), "mask": rows.copy()}, **KEY)["mask"][:, 20]
    seen = np.diff(result.astype(int))
    assert (seen[:8] < 0).all() and (seen[12:27] > 0).all() and (seen[-8:] < 0).all()
    assert set(result.tolist()) <= set(range(40))


def test_jitter_changes_brightness_and_contrast() -> None:
    transform = jitter_augmentation((8, 8), rotation=0.0, scale=(1.0, 1.0), contrast=0.2)
    picture = np.full((8, 8, 3), 80, np.uint8)
    picture[4:] = 120
    results = [_moved(transform, picture, step=step).astype(int) for step in range(100)]
    levels = np.array([result.mean() for result in results])
    spans = np.array([result.max() - result.min() for result in results])
    assert levels.min() < 75 and levels.max() > 125
    assert spans.min() in range(32, 36) and spans.max() in range(45, 49)  # 40 x 0.8 .. 40 x 1.2


def test_a_priors_crop_is_a_window_of_the_frame() -> None:
    transform = priors_augmentation((40, 48), frame=(48, 64))
    frame, corners, mirrored = _picture(), set(), 0
    windows = np.lib.stride_tricks.sliding_window_view(frame, (40, 48), axis=(0, 1)).transpose(0, 1, 3, 4, 2)
    for step in range(60):
        result = _moved(transform, frame, step=step)
        plain = np.argwhere((windows == result).all(axis=(2, 3, 4)))
        turned = np.argwhere((windows == result[:, ::-1]).all(axis=(2, 3, 4)))
        assert len(plain) + len(turned) == 1
        mirrored += len(turned)
        corners.add(tuple(np.concatenate([plain, turned])[0]))
    assert 15 <= mirrored <= 45
    assert len(corners) > 20


def test_a_frame_smaller_than_the_crop_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="does not fit into a frame"):
        priors_augmentation((224, 224), frame=(256, 200))


def test_the_central_piece_is_what_jitter_begins_with() -> None:
    """A fixed piece: half of the 40 rows and the middle of 80 columns, the same at every step."""
    image = np.zeros((40, 80, 3), np.uint8)
    image[:, 20:60] = 200
    image[:20, 20:40] = 100
    pieces = [
        augment(central_augmentation((20, 20)), {"image": image}, seed=0, step=step, image_id="a")["image"]
        for step in range(4)
    ]
    assert all(np.array_equal(piece, pieces[0]) for piece in pieces)
    assert pieces[0].shape == (20, 20, 3) and (pieces[0][:10, :10] == 100).all()
    assert (pieces[0][10:] == 200).all() and (pieces[0][:, 10:] == 200).all()
