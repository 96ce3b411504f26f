from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from wsss_lightning.nn.optimisation import cosine, decay, descent, optimisation, phases, polynomial, scheduled


def rates(steps: list[int], total: int) -> list[float]:
    weight = nn.Parameter(torch.zeros(1))
    made = optimisation([weight], optimizer=descent, rate=phases([1e-2, 1e-3], steps))
    found = []
    for _ in range(total):
        found.append(made["optimizer"].param_groups[0]["lr"])
        made["optimizer"].step()
        made["lr_scheduler"]["scheduler"].step()
    return found


def test_one_rate_per_phase() -> None:
    assert rates([3, 2], 6) == [1e-2] * 3 + [1e-3] * 3
    made = optimisation([nn.Parameter(torch.zeros(1))], optimizer=descent, rate=phases([1.0], [1]))
    assert made["lr_scheduler"]["interval"] == "step"


def test_phases_without_a_rate() -> None:
    with pytest.raises(ValueError):
        rates([3, 2, 1], 1)


def test_one_step_of_sgd_by_hand() -> None:
    """v = g + decay w, then w - rate v; the second step adds momentum v."""
    weight: Tensor = nn.Parameter(torch.tensor([2.0]))
    optimizer = optimisation([weight], optimizer=descent, rate=phases([0.1], [9]))["optimizer"]
    by_hand, velocity = 2.0, 0.0
    for gradient in (1.0, -3.0):
        weight.grad = torch.tensor([gradient])
        optimizer.step()
        velocity = 0.9 * velocity + gradient + 0.0005 * by_hand
        by_hand -= 0.1 * velocity
    assert weight.item() == pytest.approx(by_hand)


def test_new_layers_learn_by_a_factor_faster_at_every_step() -> None:
    old, new = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    made = optimisation([old, new], optimizer=descent, rate=phases([1.0, 0.1], [1, 1]), new=[new], factor=10.0)
    groups = made["optimizer"].param_groups
    assert [group["params"] for group in groups] == [[old], [new]]
    for expected in ([1.0, 10.0], [0.1, 1.0]):
        assert [group["lr"] for group in groups] == pytest.approx(expected)
        made["optimizer"].step()
        made["lr_scheduler"]["scheduler"].step()


def test_a_schedule_is_as_long_as_the_training_and_phases_as_they_are_given() -> None:
    module: Any = SimpleNamespace(trainer=SimpleNamespace(estimated_stepping_batches=8))
    assert scheduled(polynomial, [2.0, 7.0], [3, 1], module)(4) == polynomial(2.0, 8)(4) > 0
    assert [scheduled(None, [2.0, 7.0], [3, 1], module)(step) for step in (2, 3, 7)] == [2.0, 7.0, 7.0]
    assert scheduled(polynomial, [2.0, 7.0], [3, 1], LightningModule())(3) == polynomial(2.0, 4)(3)


def test_schedules_by_hand() -> None:
    assert [polynomial(2.0, 4, power=0.5)(step) for step in (0, 3, 4, 5)] == [2.0, 1.0, 0.0, 0.0]
    assert [cosine(2.0, 4)(step) for step in (0, 2, 4)] == pytest.approx([2.0, 1.0, 0.0])
    assert [decay(1.0, 10, at=[0.5, 0.8], by=0.5)(step) for step in (0, 4, 5, 7, 8)] == [1.0, 1.0, 0.5, 0.5, 0.25]
