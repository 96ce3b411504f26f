"""Losses that take rough masks at their word (coseg secs. 3.2 and 3.3).

The paper prints eqs 1 and 3 without their minus signs: as they stand, training would make them ever smaller.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

IGNORE = 255  # in masks: a pixel that no loss sees


def pixel_loss(logits: Tensor, labels: Tensor, *, counted: Tensor | None = None) -> Tensor:
    """Softmax loss -(1/I) sum_i log softmax(f_i)_{m_i} over the I pixels whose label is not 255 (eq 1).

    I counts the pixels of the whole batch, as the authors' code does; 0 where there is none.

    Args:
        logits: f, (N, L, h, w).
        labels: m, (N, h, w) int64 in 0..L - 1, or 255.
        counted: I, where these images are a part of the batch alone; None counts their own.
    """
    # Of rows, not of maps: the loss of maps has no deterministic form on a GPU.
    rows = logits.movedim(1, -1).flatten(end_dim=-2)
    summed = F.cross_entropy(rows, labels.flatten(), ignore_index=IGNORE, reduction="sum")
    return summed / (labelled_pixels(labels).clamp_min(1) if counted is None else counted)


def labelled_pixels(labels: Tensor) -> Tensor:
    """How many labels of any shape are not 255: a scalar, int64."""
    return (labels != IGNORE).sum()


def image_label_loss(logits: Tensor, present: Tensor) -> Tensor:
    """Logistic loss of which labels an image shows, the mean over labels and images (eq 3).

    -(1/C) sum_j [ y_j log sigmoid(p_j) + (1 - y_j) log(1 - sigmoid(p_j)) ].

    Args:
        logits: p, (N, L).
        present: y, (N, L) bool.
    """
    return F.binary_cross_entropy_with_logits(logits, present.type_as(logits))


def joint_loss(
    pixels: Tensor,
    image: Tensor,
    labels: Tensor,
    present: Tensor,
    *,
    balance: float,
    counted: Tensor | None = None,
    share: Tensor | float = 1.0,
) -> Tensor:
    """L1 + lambda L2 (eq 4), of which a batch takes the mean where the paper sums over images.

    Args:
        pixels: logits of every pixel, (N, L, h, w).
        image: logits of the image's labels, (N, L).
        labels: (N, h, w), see `pixel_loss`.
        present: (N, L) bool.
        balance: lambda (sec. 4.2: 1).
        counted: see `pixel_loss`.
        share: what the mean over these images counts, where they are a part of the batch alone.
    """
    return pixel_loss(pixels, labels, counted=counted) + balance * share * image_label_loss(image, present)


def labels_in(mask: Tensor, num_labels: int) -> Tensor:
    """Which labels masks (N, H, W) hold, (N, num_labels) bool; 255 is none."""
    known = torch.arange(num_labels, device=mask.device)
    return (mask.flatten(start_dim=1)[:, None] == known[:, None]).any(dim=2)
