import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_hypercolumns import SHIPPED, scenes, trainer

from wsss_lightning.errors import InputError
from wsss_lightning.methods.points.stages.extract import extract
from wsss_lightning.methods.points.stages.features import FeatureStore
from wsss_lightning.methods.points.stages.recomputed import open_recomputed
from wsss_lightning.nn.backbones import Features
from wsss_lightning.nn.hypercolumns import assemble
from wsss_lightning.nn.vgg import tiny

GRID = (4, 6)


def features(seed: int) -> Features:
    generator = torch.Generator().manual_seed(seed)
    maps = [torch.rand(1, 3, 8, 12, generator=generator) * 9, torch.rand(1, 2, 2, 3, generator=generator)]
    return Features(maps=maps, pooled=torch.rand(1, 5, generator=generator))


def test_statistics_are_those_of_the_large_tensor(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    for seed in range(3):
        store.write("train", f"id{seed}", features(seed), GRID, half=True)
    store.write_grid(GRID)
    store.write_statistics("train", ["id0", "id1", "id2"])
    read = [assemble(store.read("train", f"id{seed}").maps, GRID)[0].flatten(1) for seed in range(3)]
    rows = torch.cat(read, dim=1).double()
    mean, std = store.statistics()
    torch.testing.assert_close(mean, rows.mean(dim=1))
    torch.testing.assert_close(std, rows.std(dim=1, correction=0))
    assert store.grid() == GRID
    pooled = torch.cat([features(seed).pooled for seed in range(3)]).double()
    mean, std = store.statistics(with_global=True)
    torch.testing.assert_close(mean[5:], pooled.mean(dim=0))
    torch.testing.assert_close(std[5:], pooled.std(dim=0, correction=0))


def test_fine_maps_are_kept_at_the_grid_and_coarse_ones_as_they_are(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.write("val", "id", features(0), GRID, half=False)
    read = store.read("val", "id")
    assert [tuple(m.shape) for m in read.maps] == [(1, 3, 4, 6), (1, 2, 2, 3)]
    torch.testing.assert_close(read.maps[1], features(0).maps[1])
    torch.testing.assert_close(read.pooled, features(0).pooled)


def test_zeros_that_are_left_out_come_back_and_take_no_room(tmp_path: Path) -> None:
    sparse = Features(maps=[torch.relu(m - m.mean() * 1.5) for m in features(1).maps], pooled=features(1).pooled)
    large = Features(maps=[m.repeat(1, 200, 1, 1) for m in sparse.maps], pooled=sparse.pooled)
    stores = [FeatureStore(tmp_path / name) for name in ("plain", "compressed")]
    for store, compress in zip(stores, (False, True), strict=True):
        store.write("train", "id", large, GRID, half=True, compress=compress)
    plain, compressed = (store.read_stored("train", "id") for store in stores)
    assert all(torch.equal(one, other) for one, other in zip(plain.maps, compressed.maps, strict=True))
    sizes = [store.path("train", "id").stat().st_size for store in stores]
    assert sizes[1] < 0.8 * sizes[0]
    with pytest.raises(InputError, match=r"set points\.half=true"):
        extract(
            **dict.fromkeys(("out_dir", "data", "backbone", "splits", "trainer"), None),  # type: ignore[arg-type]
            grid_stride=4,
            global_features=True,
            half=False,
            compress=True,
            workers=0,
            progress=False,
        )


def test_half_precision_is_refused_where_it_overflows(tmp_path: Path) -> None:
    large = Features(maps=[torch.full((1, 1, 2, 2), 70_000.0)], pooled=torch.zeros(1, 0))
    with pytest.raises(InputError, match="float16"):
        FeatureStore(tmp_path).write("train", "id", large, (2, 2), half=True)
    assert not list(tmp_path.rglob("*.safetensors"))
    FeatureStore(tmp_path).write("train", "id", large, (2, 2), half=False)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.path("train", "id").parent.mkdir(parents=True)
    store.path("train", "id").write_bytes(b"cut")
    with pytest.raises(InputError, match=r"id\.safetensors cannot be read"):
        store.read("train", "id")


def test_recomputed_features_are_the_stored_ones(tmp_path: Path) -> None:
    data = scenes(tmp_path / "scenes", train=3, val=2)
    own: dict[str, Any] = {"data": data, "backbone": tiny(str(SHIPPED), 20), "splits": ["train", "val"]}
    own |= {
        "grid_stride": 4,
        "global_features": True,
        "half": True,
        "trainer": trainer,
        "workers": 0,
        "progress": False,
    }
    folders = {stored: tmp_path / str(stored) for stored in (True, False)}
    for stored, folder in folders.items():
        extract(out_dir=str(folder), stored=stored, **own)
    kept, computed = FeatureStore(folders[True]), open_recomputed(folder=str(folders[False]), data=data, half=True)
    for split in ("train", "val"):
        for record in data.records(split):
            one, other = (store.read_stored(split, record.image_id) for store in (kept, computed))
            assert [m.dtype for m in other.maps] == [torch.float16] * len(other.maps)
            for a, b in zip([*one.maps, one.pooled], [*other.maps, other.pooled], strict=True):
                torch.testing.assert_close(a, b, rtol=2e-3, atol=1e-5)  # a unit of float16: batches round differently
    for a, b in zip(kept.statistics(with_global=True), computed.statistics(with_global=True), strict=True):
        torch.testing.assert_close(a, b)
    sizes = [sum(path.stat().st_size for path in folder.glob("*/*.safetensors")) for folder in folders.values()]
    assert sizes[1] < 0.2 * sizes[0]
    pickle.loads(pickle.dumps(computed)).read("val", data.records("val")[0].image_id)  # as loading processes get it
