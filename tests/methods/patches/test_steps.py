from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_skies import HALF, SIZE, open_skies

from wsss_lightning.data.samples import SegmentationDataset
from wsss_lightning.data.target import target_index
from wsss_lightning.data.transforms import jitter_augmentation
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.methods.patches.steps import CentralImages, MiddlePatches, PatchSteps, divide


def images(data: VOCDataModule) -> SegmentationDataset:
    return SegmentationDataset(
        data.records("train"),
        encode=data.encode,
        mean=HALF,
        std=HALF,
        augmentation=jitter_augmentation(SIZE),
    )


def steps(data: VOCDataModule, **settings: object) -> PatchSteps:
    given = {"target": 0, "count": 4, "size": 11, "positives": 0.5, "mined": None, "batch_size": 6, "steps": 9}
    return PatchSteps(images(data), **{**given, "seed": 3, **settings})  # type: ignore[arg-type]


@pytest.mark.parametrize(("share", "count"), [(0.25, 6), (0.0, 1), (0.5, 12)])
def test_held_out_images_are_a_random_share(tmp_path: Path, share: float, count: int) -> None:
    records = open_skies(tmp_path / "voc").records("train")
    kept, aside = divide(records, held_out=share, seed=0)
    assert len(aside) == count and not {r.image_id for r in kept} & {r.image_id for r in aside}
    assert sorted(r.image_id for r in [*kept, *aside]) == [r.image_id for r in records]
    others = [{r.image_id for r in divide(records, held_out=share, seed=seed)[1]} for seed in range(9)]
    assert others[0] == {r.image_id for r in aside} and any(other != others[0] for other in others)


def test_a_step_is_a_function_of_seed_and_step(tmp_path: Path) -> None:
    data = open_skies(tmp_path / "voc")
    first, again = steps(data), steps(data)
    batches = [first.batch(step, rank=0, world=1) for step in range(3)]
    repeated = [again.batch(step, rank=0, world=1) for step in (2, 1, 0)][::-1]
    for one, other in zip(batches, repeated, strict=True):
        assert torch.equal(one["patches"].values, other["patches"].values)
        assert torch.equal(one["positive"], other["positive"])
    assert batches[0]["patches"].shape == (24, 11, 11, 3) and len(first) == 9
    assert not torch.equal(batches[0]["patches"].values, batches[1]["patches"].values)
    reseeded = steps(data, seed=4).batch(0, rank=0, world=1)
    assert not torch.equal(batches[0]["patches"].values, reseeded["patches"].values)


def test_processes_share_a_batch(tmp_path: Path) -> None:
    drawn = steps(open_skies(tmp_path / "voc"))
    whole = drawn.batch(5, rank=0, world=1)
    parts = [drawn.batch(5, rank=rank, world=2) for rank in (0, 1)]
    stacked = torch.stack([part["positive"] for part in parts], dim=1).flatten()
    assert torch.equal(whole["positive"], stacked)


def test_positives_are_drawn_as_often_as_asked_for(tmp_path: Path) -> None:
    """A third of the images show the class."""
    drawn = steps(open_skies(tmp_path / "voc"), positives=0.8, batch_size=40)
    positive = torch.cat([drawn.batch(step, rank=0, world=1)["positive"] for step in range(10)])
    assert 0.7 < positive.double().mean() < 0.9


def test_patches_of_positive_images_are_theirs(tmp_path: Path) -> None:
    """Suns are red, and no patch elsewhere is."""
    drawn = steps(open_skies(tmp_path / "voc"), batch_size=30).batch(0, rank=0, world=1)
    patches = drawn["patches"].values.unflatten(0, (30, 4)).double()
    red = (patches[..., 0] - patches[..., 2]).flatten(1).max(dim=1).values
    assert torch.equal(red > 150, drawn["positive"])


def test_half_of_the_negatives_are_mined(tmp_path: Path) -> None:
    mined = np.full((5, 11, 11, 3), 7, np.uint8)
    drawn = steps(open_skies(tmp_path / "voc"), mined=mined, batch_size=60)
    kinds: Counter[tuple[bool, bool]] = Counter()
    for step in range(5):
        batch = drawn.batch(step, rank=0, world=1)
        constant = (batch["patches"].values.unflatten(0, (60, 4)) == 7).flatten(1).all(dim=1)
        kinds.update(zip(batch["positive"].tolist(), constant.tolist(), strict=True))
    assert kinds[True, True] == 0
    assert 0.35 < kinds[False, True] / (kinds[False, True] + kinds[False, False]) < 0.65


def test_no_mined_patch_is_like_no_mining(tmp_path: Path) -> None:
    data = open_skies(tmp_path / "voc")
    none = steps(data, mined=np.empty((0, 11, 11, 3), np.uint8)).batch(0, rank=0, world=1)
    assert torch.equal(none["patches"].values, steps(data).batch(0, rank=0, world=1)["patches"].values)


@pytest.mark.parametrize("target", [0, 1])
def test_some_images_and_not_all_must_show_the_class(tmp_path: Path, target: int) -> None:
    data = open_skies(tmp_path / "voc")
    data.records("train")[:] = [r for r in data.records("train") if r.tags[0]]
    with pytest.raises(InputError, match="training images show the class"):
        steps(data, target=target)


def test_middle_patches_are_a_batch_of_one_image(tmp_path: Path) -> None:
    data = open_skies(tmp_path / "voc")
    shown = CentralImages(data, data.records("val"), size=SIZE)
    patches = MiddlePatches(shown, target=1, count=4, size=11)
    assert len(patches) == 6
    assert [bool(patches[index]["positive"]) for index in range(6)] == [False, True, False] * 2
    sample, whole = patches[1], shown[1]["image"]
    assert sample["positive"].shape == (1,) and torch.equal(sample["patches"], patches[1]["patches"])
    assert torch.equal(sample["patches"][1], whole[:, 2:13, 18:29])


def test_an_unknown_class_is_named(tmp_path: Path) -> None:
    data = open_skies(tmp_path / "voc")
    assert target_index(data, "moon") == 1
    with pytest.raises(InputError, match=r"has no class 'star': take one of sun, moon\."):
        target_index(data, "star")
