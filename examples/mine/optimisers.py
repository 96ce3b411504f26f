"""An optimiser: any `torch.optim.Optimizer` whose groups have a rate."""

from collections.abc import Callable, Iterable
from typing import Any

import torch


class SignDescent(torch.optim.Optimizer):
    """Every weight moves by the rate, against the sign of its gradient's running mean.

    Args:
        params: parameters, or groups of them.
        lr: of a step.
        momentum: share of the mean so far that is kept.
    """

    def __init__(self, params: Iterable[Any], lr: float, momentum: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step; `closure`, which computes loss and gradients, is called first where it is given."""
        with torch.enable_grad():
            loss = None if closure is None else closure()
        for group in self.param_groups:
            for weight in (each for each in group["params"] if each.grad is not None):
                mean = self.state[weight].setdefault("mean", torch.zeros_like(weight))
                mean.lerp_(weight.grad, 1 - group["momentum"])
                weight.sub_(mean.sign(), alpha=group["lr"])
        return loss
