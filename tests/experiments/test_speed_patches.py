"""The benchmark of the dense form on a tiny network: it runs, its counts are right and its page is written."""

import json
from pathlib import Path

import pytest
import torch

from wsss_lightning.methods.patches.network import PatchNetwork

FOLDER = Path(__file__).parents[2] / "experiments" / "speed"


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr("measurement._MATMUL", 16)
    monkeypatch.setattr("measurement._COPIED", 1024)


def tiny(kernels: tuple[int, ...], pools: tuple[int, ...]) -> PatchNetwork:
    generator = torch.Generator().manual_seed(0)
    return PatchNetwork(filters=(4, 5, 6, 7), kernels=kernels, pools=pools, bounded=True, generator=generator)


def test_times_and_operations(tmp_path: Path) -> None:
    import patches

    found = patches.compare({"LSE1": tiny((4, 3, 5), (3, 2))}, size=(16, 24), ones=2, batch=4, rounds=1)
    row = found["ratios"]["LSE1"]
    patch = 36**2 * 3 * 16 * 4 + 10**2 * 4 * 9 * 5 + 5 * 25 * 6 + 6 * 7 + 7 * 2
    assert found["rows"]["LSE1: a batch of 4"]["operations"] == 4 * 2 * patch
    assert found["rows"]["LSE1: 2 patches one by one"]["operations"] == 2 * 2 * patch
    weights = 3 * 16 * 4 + 4 * 9 * 5 + 5 * 25 * 6 + 6 * 7 + 7 * 2
    assert row["times_operations_without_border"] == pytest.approx(patch / weights)
    assert row["times_operations"] < row["times_operations_without_border"]
    assert row["times_in_batches"] == pytest.approx(row["in_batches_s"] / row["dense_s"])
    assert all(row["peak_bytes"] > 0 for row in found["rows"].values())
    machine = patches.machine("test")
    patches.write(tmp_path, "patches", found | {"machine": machine}, patches.words(found))
    assert json.loads((tmp_path / "patches.json").read_text())["size"] == [16, 24]
    page = (tmp_path / "patches.md").read_text()
    assert "| LSE1: dilated |" in page and "has 384 patches" in page
