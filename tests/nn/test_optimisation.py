import pytest
import torch
from torch import Tensor, nn

from wsss_lightning.nn.optimisation import descend


def rates(steps: list[int], total: int) -> list[float]:
    weight = nn.Parameter(torch.zeros(1))
    made = descend([weight], rates=[1e-2, 1e-3], steps=steps)
    found = []
    for _ in range(total):
        found.append(made["optimizer"].param_groups[0]["lr"])
        made["optimizer"].step()
        made["lr_scheduler"]["scheduler"].step()
    return found


def test_one_rate_per_phase() -> None:
    assert rates([3, 2], 6) == [1e-2] * 3 + [1e-3] * 3
    assert descend([nn.Parameter(torch.zeros(1))], rates=[1.0], steps=[1])["lr_scheduler"]["interval"] == "step"


def test_phases_without_a_rate() -> None:
    with pytest.raises(ValueError):
        rates([3, 2, 1], 1)


def test_one_step_of_sgd_by_hand() -> None:
    """v = g + decay w, then w - rate v; the second step adds momentum v."""
    weight: Tensor = nn.Parameter(torch.tensor([2.0]))
    optimizer = descend([weight], rates=[0.1], steps=[9])["optimizer"]
    by_hand, velocity = 2.0, 0.0
    for gradient in (1.0, -3.0):
        weight.grad = torch.tensor([gradient])
        optimizer.step()
        velocity = 0.9 * velocity + gradient + 0.0005 * by_hand
        by_hand -= 0.1 * velocity
    assert weight.item() == pytest.approx(by_hand)
