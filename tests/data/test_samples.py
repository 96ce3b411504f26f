from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from wsss_lightning.data.masks import write_mask
from wsss_lightning.data.samples import Normalisation, Record, SegmentationDataset, collate, resize_image
from wsss_lightning.data.transforms import crop_augmentation
from wsss_lightning.ops.resize import resize_labels

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SHAPE = (60, 80)


@pytest.fixture
def records(tmp_path: Path) -> list[Record]:
    for number, name in enumerate("ab"):
        pixels = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
        Image.fromarray(pixels).resize(SHAPE[::-1]).save(tmp_path / f"{name}.png")
        write_mask(tmp_path / f"{name}_mask.png", np.full(SHAPE, number + 1, np.uint8))
    tags = zip("ab", np.eye(2, dtype=bool), strict=True)
    return [Record(name, tmp_path / f"{name}.png", tmp_path / f"{name}_mask.png", present) for name, present in tags]


def _dataset(records: list[Record], **changes: Any) -> SegmentationDataset:
    chosen = {"augmentation": crop_augmentation((40, 48), mean=MEAN), "seed": 0, **changes}
    return SegmentationDataset(records, encode=_as_it_is, **chosen)


def _as_it_is(mask: np.ndarray, path: Path) -> np.ndarray:
    return mask


def _same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(value, second[key]) if isinstance(value, torch.Tensor) else value == second[key]
        for key, value in first.items()
    )


@pytest.mark.parametrize("shape", [(1, 1, 3), (16, 16, 3), (33, 47, 3)])
def test_normalising_is_the_formula_bit_for_bit(shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    image[0, 0] = [0, 255, 128]
    pixels = torch.from_numpy(image).permute(2, 0, 1).float() / 255
    expected = (pixels - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    found = Normalisation(MEAN, STD)(image)
    assert found.dtype == torch.float32 and found.is_contiguous()
    assert torch.equal(found, expected)
    assert torch.equal(Normalisation(MEAN, STD).where_they_are(torch.from_numpy(image)[None])[0], expected)


@pytest.mark.parametrize("size", [(16, 24), (37, 50), (61, 40)])
def test_resizing_is_pillows_to_a_grey_level(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (37, 50, 3), np.uint8)
    expected = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))
    found = resize_image(image, size)
    assert found.dtype == np.uint8 and found.flags.c_contiguous
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert np.array_equal(resize_image(image, (37, 50)), image)


def test_an_augmented_sample_keeps_the_batch_contract(records: list[Record]) -> None:
    sample = _dataset(records, with_masks=True).at(1, step=3)
    assert set(sample) == {"image", "tags", "mask", "image_id", "size", "shown"}
    assert (sample["image"].dtype, sample["image"].shape) == (torch.float32, (3, 40, 48))
    assert (sample["mask"].dtype, sample["mask"].shape) == (torch.int64, (40, 48))
    assert set(sample["mask"].unique().tolist()) <= {2, 255}
    assert (sample["image_id"], sample["tags"].tolist()) == ("b", [False, True])
    assert sample["size"].tolist() == list(SHAPE)


def test_the_augmentation_sets_the_size_and_only_of_augmented_samples(records: list[Record]) -> None:
    dataset = _dataset(records, size=(20, 20), with_masks=True)
    assert dataset.at(0, step=0)["image"].shape == (3, 40, 48)
    assert dataset.at(0, step=0)["mask"].shape == (40, 48)
    assert _same(dataset[0], _dataset(records, size=(20, 20), with_masks=True, augmentation=None)[0])


def test_seed_step_and_image_alone_decide(records: list[Record]) -> None:
    first = _dataset(records).at(0, step=5)
    dataset = _dataset(records)
    for step in range(4):
        dataset.at(1, step=step)
    assert _same(dataset.at(0, step=5), first)
    assert not _same(dataset.at(0, step=6), first)
    assert not _same(_dataset(records, seed=1).at(0, step=5), first)
    dataset.records.reverse()
    assert _same(dataset.at(1, step=5), first)  # the place in the list does not matter


def test_a_mask_does_not_change_the_image_and_moves_with_it(records: list[Record]) -> None:
    rows = np.mgrid[:60, :80][0].astype(np.uint8)
    Image.fromarray(np.stack([rows * 4] * 3, axis=-1)).save(records[0].image)
    write_mask(records[0].image.with_name("a_mask.png"), rows)
    flat = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    for step in range(5):
        sample = _dataset(records, with_masks=True, **flat).at(0, step=step)
        assert torch.equal(sample["image"], _dataset(records, **flat).at(0, step=step)["image"])
        known = (sample["mask"] != 255).numpy().astype(np.uint8)
        inner = torch.from_numpy(cv2.erode(known, np.ones((3, 3)), borderValue=0) > 0)
        assert (sample["image"][0] * 255 / 4 - sample["mask"])[inner].abs().max() < 2


def test_without_augmentation_every_step_is_the_plain_sample(records: list[Record]) -> None:
    dataset = _dataset(records, augmentation=None, with_masks=True)
    assert _same(dataset.at(0, step=9), dataset[0])


def test_an_augmentation_without_masks_opens_none(records: list[Record]) -> None:
    dataset = _dataset(records)
    for record in records:
        record.image.with_name(f"{record.image_id}_mask.png").unlink()
    assert "mask" not in dataset.at(0, step=0)


def test_a_transform_of_ones_own_will_do(records: list[Record]) -> None:
    dataset = _dataset(records, augmentation=A.Compose([A.HorizontalFlip(p=1.0)]), with_masks=True)
    assert torch.equal(dataset.at(0, step=0)["image"], dataset[0]["image"].flip(2))


def test_packed_images_are_finished_to_the_same_bits(records: list[Record]) -> None:
    dataset = _dataset(records, augmentation=crop_augmentation((40, 48)))
    whole = [dataset.at(index, step=2) for index in range(2)]
    packed = [dataset.at(index, step=2, packed=True) for index in range(2)]
    assert all(sample["image"].values.dtype == torch.uint8 for sample in packed)
    batch = collate(packed)
    assert batch["image"].shape == (2, 40, 48, 3)
    assert torch.equal(batch["image"].finished(), collate(whole)["image"])
    assert torch.equal(packed[0]["image"].finished(), whole[0]["image"])


@pytest.mark.parametrize(
    ("shape", "side", "expected"), [((40, 60), 10, (10, 15)), ((33, 11), 20, (60, 20)), ((8, 12), 16, (16, 24))]
)
def test_the_longer_side_follows_the_shorter(
    tmp_path: Path, shape: tuple[int, int], side: int, expected: tuple[int, int]
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    mask = np.random.default_rng(1).integers(0, 5, shape).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    write_mask(tmp_path / "a_mask.png", mask)
    record = Record("a", tmp_path / "a.png", tmp_path / "a_mask.png", np.array([True]))
    sample = _dataset([record], augmentation=None, size=side, with_masks=True)[0]
    assert torch.equal(sample["image"], Normalisation(MEAN, STD)(resize_image(image, expected)))
    assert np.array_equal(sample["mask"].numpy(), resize_labels(mask, expected))
    assert sample["size"].tolist() == list(shape)
