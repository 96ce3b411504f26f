from __future__ import annotations

from pathlib import Path

import pytest
import torch

from wsss_lightning.errors import InputError
from wsss_lightning.methods.points.stages.point_data import PointBank, PointSteps
from wsss_lightning.stages.io import write_tensors


def write_points(folder: Path, image_id: str, *, labels: list[int], value: float) -> None:
    """Points whose features and global vector are the image's own value."""
    features, pooled = torch.full((len(labels), 3), value), torch.full((1, 2), value)
    write_tensors(
        folder / f"{image_id}.safetensors", {"features": features, "labels": torch.tensor(labels), "pooled": pooled}
    )


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Images a and b, and in a later folder b anew and c."""
    first, second = tmp_path / "first", tmp_path / "second"
    write_points(first, "a", labels=[0, 1], value=1.0)
    write_points(first, "b", labels=[0, 0, 0], value=2.0)
    write_points(second, "b", labels=[2], value=3.0)
    write_points(second, "c", labels=[0, 3, 3], value=4.0)
    return [first, second]


def test_every_point_goes_with_its_image_and_its_label(folders: list[Path]) -> None:
    steps = PointSteps(PointBank.read(folders, global_features=True), total=3, batch_size=2, seed=0)
    batches = [steps.batch(step, rank=0, world=1) for step in range(3)]
    features, pooled, labels = (
        torch.cat([each[name] for each in batches]) for name in ("features", "pooled", "labels")
    )
    assert torch.equal(features[:, :2], pooled)
    assert sorted(zip(features[:, 0].tolist(), labels.tolist(), strict=True)) == [
        (1.0, 0),
        (1.0, 1),
        (3.0, 2),
        (4.0, 0),
        (4.0, 3),
        (4.0, 3),
    ]


def test_global_vectors_may_be_left_out(folders: list[Path]) -> None:
    steps = PointSteps(PointBank.read(folders, global_features=False), total=1, batch_size=4, seed=0)
    assert steps.batch(0, rank=0, world=1)["pooled"].shape == (4, 0)


def test_processes_share_a_batch(folders: list[Path]) -> None:
    steps = PointSteps(PointBank.read(folders, global_features=True), total=2, batch_size=5, seed=1)
    whole = steps.batch(1, rank=0, world=1)["features"]
    parts = [steps.batch(1, rank=rank, world=2)["features"] for rank in (0, 1)]
    assert [len(part) for part in parts] == [3, 2]
    assert torch.equal(torch.cat(parts)[[0, 3, 1, 4, 2]], whole)


def test_images_are_those_of_a_list_and_files_that_a_killed_process_left_are_none(folders: list[Path]) -> None:
    whole = PointBank.read(folders, global_features=True)
    for name in (".c.7.safetensors", ".writing-1/c.safetensors"):
        write_points(folders[0] / Path(name).parent, Path(name).stem, labels=[1], value=9.0)
    for ids in (None, ["c", "a", "b"]):
        bank = PointBank.read(folders, global_features=True, image_ids=ids)
        assert bank.image_ids == ["a", "b", "c"] and torch.equal(bank.features, whole.features)
    assert PointBank.read(folders, global_features=True, image_ids=["b"]).labels.tolist() == [2]
    batch = PointSteps(bank, total=1, batch_size=6, seed=0).batch(0, rank=0, world=1)
    assert batch["image_id"] == ["a", "b", "c"]
    with pytest.raises(InputError, match=r"d\.safetensors cannot be read"):
        PointBank.read(folders, global_features=True, image_ids=["d"])
