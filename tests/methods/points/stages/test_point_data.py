from pathlib import Path

import torch

from wsss_lightning.methods.points.stages.point_data import PointBank, PointSteps
from wsss_lightning.stages.io import write_tensors


def store(folder: Path, *images: int) -> Path:
    """Files of points whose features, global vector and label all tell the image's number."""
    for number in images:
        count = number % 3 + 1
        tensors = {
            "features": torch.full((count, 4), float(number)),
            "pooled": torch.full((1, 5), float(number)),
            "labels": torch.full((count,), number),
        }
        write_tensors(folder / f"image_{number:02}.safetensors", tensors)
    return folder


def test_each_point_comes_with_the_label_and_the_global_vector_of_its_own_image(tmp_path: Path) -> None:
    bank = PointBank.read([store(tmp_path / "points", *range(9))], global_features=True)
    steps, seen = PointSteps(bank, total=12, batch_size=6, seed=0), []
    for step in range(len(steps)):
        batch = steps.batch(step, rank=0, world=1)
        assert torch.equal(batch["features"][:, 0].long(), batch["labels"])
        assert torch.equal(batch["pooled"], batch["labels"][:, None].expand(-1, 5).float())
        seen += batch["labels"].tolist()
    counts = torch.bincount(torch.tensor(seen), minlength=9)
    assert counts.tolist() == [4 * (number % 3 + 1) for number in range(9)]  # four times through all 18 points


def test_a_later_folder_replaces_an_images_points(tmp_path: Path) -> None:
    first, second = store(tmp_path / "first", 1, 2), tmp_path / "second"
    tensors = {"features": torch.zeros(1, 4), "pooled": torch.ones(1, 5), "labels": torch.tensor([7])}
    write_tensors(second / "image_01.safetensors", tensors)
    bank = PointBank.read([first, second], global_features=False)
    assert bank.labels.tolist() == [7, 2, 2, 2]
    assert bank.pooled.shape == (2, 0) and bank.images.tolist() == [0, 1, 1, 1]
