"""Losses that know which classes an image shows, and at most a rough mask of them (priors sec. 3.2).

In all of them probs is S, (N, L, H, W) summing to 1 over the L labels, background first; `present`, (N, L) bool, says
which labels an image shows, background included. Each is the mean over the N images of the sum of its terms; a term
over no label at all (no absent class, nothing present but background) is 0.
"""

import torch
from torch import Tensor

from wsss_lightning.ops.pooling import log_sum_exp_pool

_FLOOR = 1e-30  # of a probability whose logarithm is taken: keeps a wrong and certain network's loss finite


def tag_loss(probs: Tensor, present: Tensor, sharpness: float = 5.0) -> Tensor:
    """-mean_{k present} log S_k - mean_{k absent} log(1 - S_k), S_k the pooled probability (eqs 10 and 11).

    Args:
        probs: (N, L, H, W).
        present: (N, L) bool.
        sharpness: r of the pooling (sec. 3.2: 5).
    """
    pooled = log_sum_exp_pool(probs, sharpness)
    return (_mean(-_log(pooled), present) + _mean(-_log(1 - pooled), ~present)).mean()


def foreground_loss(probs: Tensor, present: Tensor, foreground: Tensor, sharpness: float = 5.0) -> Tensor:
    """Present classes inside a foreground mask, background outside, absent classes nowhere (eqs 12-14).

    -mean_{k present, k > 0} log S_k - log S_0 - mean_{absent k, pixels} log(1 - S_k,ij), where S_k pools over the
    mask and S_0 over the rest. A class has no term in an image whose mask is empty, background none in one that is
    all foreground: there is nothing to pool over.

    Args:
        probs: (N, L, H, W).
        present: (N, L) bool.
        foreground: M, (N, H, W) bool.
        sharpness: r of the pooling (sec. 3.2: 5).
    """
    background = torch.zeros_like(present)
    background[:, 0] = True
    inside = _pooled_terms(probs, foreground[:, None], present & ~background, sharpness)
    outside = _pooled_terms(probs, ~foreground[:, None], background & present, sharpness)
    return (inside + outside + _absent_everywhere(probs, present)).mean()


def class_mask_loss(probs: Tensor, present: Tensor, masks: Tensor, sharpness: float = 5.0) -> Tensor:
    """Each present label, background too, inside its own mask, absent classes nowhere (eqs 15 and 16).

    -mean_{k present} log S_k - mean_{absent k, pixels} log(1 - S_k,ij), where S_k pools over mask k. A present label
    with an empty mask is left out of the mean.

    Args:
        probs: (N, L, H, W).
        present: (N, L) bool.
        masks: M_k, (N, L, H, W) bool; those of absent labels are not looked at.
        sharpness: r of the pooling (sec. 3.2: 5).
    """
    return (_pooled_terms(probs, masks, present, sharpness) + _absent_everywhere(probs, present)).mean()


def _pooled_terms(probs: Tensor, masks: Tensor, chosen: Tensor, sharpness: float) -> Tensor:
    """-mean log S_k over the chosen labels whose mask is not empty, (N,)."""
    pooled = log_sum_exp_pool(probs, sharpness, masks)
    pooled_over = chosen & masks.any(dim=(-2, -1)).expand_as(chosen)
    return _mean(-_log(pooled.masked_fill(~pooled_over, 1.0)), pooled_over)


def _absent_everywhere(probs: Tensor, present: Tensor) -> Tensor:
    """-mean log(1 - S_k,ij) over the absent labels and all pixels, (N,)."""
    # 1 - S_k as the sum of the other labels: exact where S_k is nearly 1, so that a gradient is left.
    empty = torch.zeros_like(probs[:, :1])
    before = torch.cat([empty, probs[:, :-1]], dim=1).cumsum(dim=1)
    behind = torch.cat([probs[:, 1:], empty], dim=1).flip(1).cumsum(dim=1).flip(1)
    return _mean(-_log(before + behind).mean(dim=(-2, -1)), ~present)


def _log(values: Tensor) -> Tensor:
    return values.clamp_min(_FLOOR).log()


def _mean(terms: Tensor, chosen: Tensor) -> Tensor:
    """Mean over the chosen labels of each image, (N, L) -> (N,); 0 where none is chosen."""
    return (terms * chosen).sum(dim=1) / chosen.sum(dim=1).clamp_min(1)
