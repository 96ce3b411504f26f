import math

import torch

from wsss_lightning.methods.points.stages.judge import _shares


def test_shares_of_right_points_by_hand() -> None:
    labels = [1, 1, 1, 0, 0, 1]
    truth = [1, 0, 1, 0, 1, 255]  # the last one counts nowhere
    places = [1, 0, 2, 0, 1, 0]
    shares = _shares(torch.tensor([labels, truth, places]), ("cat", "dog"))
    assert shares["train/points/right"] == 3 / 5
    assert shares["train/points/right/cat"] == 2 / 3
    assert shares["train/points/right/background"] == 1 / 2
    assert math.isnan(shares["train/points/right/dog"])
    assert [shares[f"train/points/on_{name}"] for name in ("body", "part", "thin")] == [0.5, 0.5, 0]


def test_photographs_have_no_parts() -> None:
    shares = _shares(torch.tensor([[1], [1], [0]]), ("cat",))
    assert not any(name.startswith("train/points/on_") for name in shares)
