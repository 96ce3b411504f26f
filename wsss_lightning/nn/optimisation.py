"""Optimisers and learning rates of all networks: the papers' own, or others that a user chooses."""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import accumulate
from typing import Any, Protocol

import torch
from torch import nn

Rate = Callable[[int], float]  # learning rate of an optimiser step
MakeOptimizer = Callable[..., torch.optim.Optimizer]  # of groups of parameters, with `lr` to be scaled
Scheduler = Callable[[float, int], Rate]  # of the first rate and the number of steps


class Trained(Protocol):
    """What a schedule needs of a LightningModule."""

    @property
    def trainer(self) -> Any:
        """Lightning's trainer.

        Raises:
            RuntimeError: there is none yet.
        """


_MOMENTUM, _WEIGHT_DECAY = 0.9, 5e-4  # priors sec. 4.2.1, coseg sec. 4.2
descent: MakeOptimizer = partial(torch.optim.SGD, momentum=_MOMENTUM, weight_decay=_WEIGHT_DECAY, foreach=True)


def optimisation(
    parameters: Iterable[nn.Parameter],
    *,
    optimizer: MakeOptimizer,
    rate: Rate,
    new: Iterable[nn.Parameter] = (),
    factor: float = 1.0,
) -> dict[str, Any]:
    """What Lightning's `configure_optimizers` returns: an optimiser whose rate follows `rate`, step by step.

    Args:
        parameters: what is trained.
        optimizer: makes it, for example `descent`.
        rate: of a step.
        new: those of `parameters` that no weights were published for.
        factor: by which their rate is higher.
    """
    fresh = [] if factor == 1.0 else list(new)
    known = {id(parameter) for parameter in fresh}
    groups: list[dict[str, Any]] = [{"params": [each for each in parameters if id(each) not in known], "lr": 1.0}]
    if fresh:
        groups.append({"params": fresh, "lr": factor})
    algorithm = optimizer(groups, lr=1.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(algorithm, rate)
    return {"optimizer": algorithm, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def phases(rates: Sequence[float], steps: Sequence[int]) -> Rate:
    """One rate per phase (priors: 1e-4 for 40,000 steps, then 1e-5; coseg: 16e-4 for about 5,000, then 16e-5).

    Raises:
        ValueError: not as many rates as numbers of steps.
    """
    ends = list(zip(rates, accumulate(steps), strict=True))
    return lambda step: next((rate for rate, end in ends if step < end), rates[-1])


def scheduled(scheduler: Scheduler | None, rates: Sequence[float], steps: Sequence[int], module: Trained) -> Rate:
    """That of `scheduler`, from `rates[0]` over all steps that the trainer of `module` will take, or else `phases`.

    Without a trainer it is as long as `steps`.
    """
    if scheduler is None:
        return phases(rates, steps)
    try:
        trainer = module.trainer
    except RuntimeError:  # Lightning's, of a module that no trainer has
        return scheduler(rates[0], sum(steps))
    return scheduler(rates[0], int(trainer.estimated_stepping_batches))


def polynomial(first: float, total: int, *, power: float = 0.9) -> Rate:
    """`first * (1 - t / total) ** power`, DeepLab's."""
    return lambda step: first * (1 - min(step, total) / total) ** power


def cosine(first: float, total: int) -> Rate:
    """Half a cosine from `first` to 0."""
    return lambda step: first * (1 + math.cos(math.pi * min(step, total) / total)) / 2


def decay(first: float, total: int, *, at: Sequence[float], by: float = 0.1) -> Rate:
    """`first`, multiplied by `by` at each of the shares `at` of all steps."""
    return lambda step: first * by ** sum(step >= share * total for share in at)
