"""The optimiser of two papers' networks (priors sec. 4.2, coseg sec. 4.2)."""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import nn

_MOMENTUM, _WEIGHT_DECAY = 0.9, 5e-4  # priors sec. 4.2.1, coseg sec. 4.2


def descend(parameters: Iterable[nn.Parameter], *, rates: Sequence[float], steps: Sequence[int]) -> dict[str, Any]:
    """SGD with one learning rate per phase, as Lightning's `configure_optimizers` returns it.

    Args:
        parameters: what is trained.
        rates: of each phase (priors: 1e-4, then 1e-5; coseg: 16e-4, then 16e-5).
        steps: how many each phase has (priors: 40,000, then 20,000; coseg: about 5,000 or 11,000, then a few).

    Raises:
        ValueError: not as many rates as numbers of steps.
    """
    phases = list(zip(rates, accumulate(steps), strict=True))

    def rate(step: int) -> float:
        return next((rate for rate, end in phases if step < end), rates[-1])

    optimizer = torch.optim.SGD(parameters, lr=1.0, momentum=_MOMENTUM, weight_decay=_WEIGHT_DECAY, foreach=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
