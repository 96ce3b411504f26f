"""Labels that show too little: the share that is background too often is taken out of what a network answers."""

import torch
from torch import Tensor
from torch.nn import functional as F


def with_prior(logits: Tensor, prior: float) -> Tensor:
    """Logits as the loss sees them, with `prior` more for background than the network answers.

    Logit adjustment (Menon et al., ICLR 2021, eq 10) for one label: where masks miss much of the objects, a network
    that is fitted to them would miss as much. With e^prior as the odds by which they do, it answers without.

    Args:
        logits: (N, L, ...), label 0 background.
        prior: log odds; 0 changes nothing.
    """
    if prior == 0:
        return logits
    background = F.one_hot(torch.zeros((), dtype=torch.long), logits.shape[1]).to(logits)
    return logits + prior * background.view(-1, *[1] * (logits.ndim - 2))
