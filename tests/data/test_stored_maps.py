from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from wsss_lightning.data.masks import write_mask
from wsss_lightning.data.samples import Record
from wsss_lightning.data.stored_maps import (
    MapDataset,
    MapSteps,
    Pooled,
    PooledDataset,
    PooledSteps,
    StoredMaps,
    as_lists,
    pack_maps,
    unpack_maps,
)
from wsss_lightning.errors import InputError
from wsss_lightning.nn.trunk import input_size

CELL = 16


def _maps(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _back(name: str, tensors: dict[str, Tensor]) -> Tensor:
    return unpack_maps(name, tensors.__getitem__, list(tensors))


def test_packed_maps_come_back_in_half_precision_whatever_their_zeros() -> None:
    for maps in (_maps(0, 5, 3, 7), _maps(0, 5, 3, 7).relu(), torch.zeros(2, 3, 3)):
        back = _back("1/deep", pack_maps("1/deep", maps))
        assert back.dtype == torch.float16 and torch.equal(back, maps.half())


def test_zeros_are_left_out_only_where_that_pays() -> None:
    sizes = {
        name: sum(t.numel() * t.element_size() for t in pack_maps("m", maps).values())
        for name, maps in {"dense": _maps(0, 64, 9, 9), "sparse": _maps(0, 64, 9, 9).sub(1).relu()}.items()
    }
    assert sizes["dense"] == 2 * 64 * 81
    assert sizes["sparse"] < 0.3 * sizes["dense"]


def test_values_beyond_half_precision_are_refused() -> None:
    with pytest.raises(InputError, match="range of half precision"):
        pack_maps("1/deep", torch.full((1, 2, 2), 1e5))


@pytest.fixture
def records(tmp_path: Path) -> list[Record]:
    """Two images of 33 x 49 px with masks, and maps of all variants of 3 x 4 cells."""
    found = []
    for number in range(2):
        image, mask = tmp_path / f"{number}.png", tmp_path / f"mask_{number}.png"
        Image.fromarray(np.zeros((33, 49, 3), np.uint8)).save(image)
        write_mask(mask, np.arange(33 * 49, dtype=np.uint32).reshape(33, 49).__mod__(3).astype(np.uint8))
        tensors: dict[str, Tensor] = {}
        for place, variant in enumerate(("1", "1-mirrored")):
            tensors |= pack_maps(f"{variant}/deep", _maps(10 * number + place, 6, 3, 4).relu())
            tensors |= pack_maps(f"{variant}/shallow", _maps(10 * number + place + 5, 4, 3, 4))
            tensors |= {f"{variant}/pooled": torch.full((6,), float(10 * number + place))}
        (tmp_path / "maps").mkdir(exist_ok=True)
        save_file(tensors, tmp_path / "maps" / f"{number}.safetensors")
        found.append(Record(image_id=str(number), image=image, mask=mask, tags=np.array([number == 0, True])))
    return found


def _dataset(tmp_path: Path, records: list[Record], crop: tuple[int, int] | None = None) -> MapDataset:
    return MapDataset(
        StoredMaps(tmp_path / "maps"),
        records,
        variants=["1", "1-mirrored"],
        encode=lambda mask, _: mask,
        image_size=partial(input_size, corners=True),
        crop=crop,
        corners=True,
        seed=3,
    )


def test_a_mirrored_variant_has_the_mirrored_mask(tmp_path: Path, records: list[Record]) -> None:
    dataset = _dataset(tmp_path, records)
    plain = dataset[0]
    seen = set()
    for step in range(20):
        sample = dataset.at(0, step=step)
        mirrored = not torch.equal(sample["deep"], plain["deep"])
        expected = plain["mask"].flip(-1) if mirrored else plain["mask"]
        assert torch.equal(sample["mask"], expected)
        seen.add(mirrored)
    assert seen == {True, False}


def test_what_a_step_sees_is_a_function_of_seed_and_step(tmp_path: Path, records: list[Record]) -> None:
    steps = [MapSteps(_dataset(tmp_path, records), batch_size=2, steps=8, seed=1) for _ in range(2)]
    for step in (5, 0, 3):
        one, other = (each.batch(step, rank=0, world=1) for each in steps)
        assert one["image_id"] == other["image_id"]
        assert all(torch.equal(a, b) for a, b in zip(one["deep"], other["deep"], strict=True))
    whole = steps[0].batch(2, rank=0, world=1)
    parts = [steps[1].batch(2, rank=rank, world=2) for rank in range(2)]
    assert sorted(whole["image_id"]) == sorted(part["image_id"][0] for part in parts)
    assert whole["tags"].shape == (2, 2)


def test_a_crop_of_maps_has_the_pixels_that_its_cells_look_at(tmp_path: Path, records: list[Record]) -> None:
    dataset = _dataset(tmp_path, records, crop=(2, 3))
    plain, offsets = dataset[1], set()
    for step in range(30):
        sample = dataset.at(1, step=step)
        assert sample["deep"].shape == (6, 2, 3) and sample["shallow"].shape == (4, 2, 3)
        assert sample["mask"].shape == (CELL + 1, 2 * CELL + 1)
        for top in range(2):
            for left in range(2):
                cells = plain["deep"][:, top : top + 2, left : left + 3]
                if torch.equal(cells, sample["deep"]):
                    pixels = plain["mask"][CELL * top :, CELL * left :][: CELL + 1, : 2 * CELL + 1]
                    assert torch.equal(sample["mask"], pixels)
                    offsets.add((top, left))
    assert len(offsets) == 4


def test_a_crop_larger_than_the_image_is_the_image(tmp_path: Path, records: list[Record]) -> None:
    sample = _dataset(tmp_path, records, crop=(9, 9)).at(0, step=0)
    assert sample["deep"].shape == (6, 3, 4) and sample["mask"].shape == (33, 49)


def test_averages_are_drawn_among_the_variants_of_the_image(tmp_path: Path, records: list[Record]) -> None:
    pooled = Pooled.read(StoredMaps(tmp_path / "maps"), records, variants=["1", "1-mirrored"])
    assert pooled.values.shape == (2, 2, 6)
    steps = PooledSteps(pooled, batch_size=2, epochs=30, seed=0)
    assert len(steps) == 30
    drawn = {float(v) for step in range(30) for v in steps.batch(step, rank=0, world=1)["pooled"][:, 0]}
    assert drawn == {0.0, 1.0, 10.0, 11.0}
    batch = steps.batch(4, rank=0, world=1)
    for row, tags in zip(batch["pooled"], batch["tags"], strict=True):
        assert bool(tags[0]) == (float(row[0]) < 5), "tags stay with their image"
    assert float(PooledDataset(pooled)[1]["pooled"][0]) == 10.0


def test_a_variant_that_was_not_stored_is_named(tmp_path: Path, records: list[Record]) -> None:
    maps = StoredMaps(tmp_path / "maps")
    with pytest.raises(InputError, match=r"0\.safetensors does not hold 2/deep"):
        maps.read("0", ["2/deep"])
    with pytest.raises(InputError, match=r"absent\.safetensors"):
        maps.read("absent", ["1/deep"])


def test_batches_of_images_of_any_size_are_lists() -> None:
    tags = torch.tensor([True])
    batch = as_lists([{"deep": torch.zeros(1, n, 2), "tags": tags} for n in (2, 3)])
    assert [len(each[0]) for each in batch["deep"]] == [2, 3] and batch["tags"].shape == (2, 1)
