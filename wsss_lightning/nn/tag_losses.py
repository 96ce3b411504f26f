"""Losses of image tags, and classes that learn apart from those that start from a classifier's rows."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from wsss_lightning.nn.backbones import Backbone

Loss = Callable[[Tensor, Tensor], Tensor]


def sigmoid_cross_entropy(logits: Tensor, tags: Tensor) -> Tensor:
    """Every class by itself, since an image may show several: summed over classes, the mean over images, as in Caffe.

    Args:
        logits: S_c, (N, C).
        tags: (N, C) bool.
    """
    return F.binary_cross_entropy_with_logits(logits, tags.type_as(logits), reduction="sum") / len(logits)


def softmax_cross_entropy(logits: Tensor, tags: Tensor) -> Tensor:
    """All classes against each other; those present share the target evenly, an image without any adds nothing.

    Args:
        logits: S_c, (N, C).
        tags: (N, C) bool.
    """
    present = (logits.log_softmax(dim=1) * tags).sum(dim=1) / tags.sum(dim=1).clamp_min(1)
    return -present.mean()


def soft_margin(logits: Tensor, tags: Tensor) -> Tensor:
    """Every class by itself, the mean over classes and images: the field's multi-label soft margin loss.

    Args:
        logits: (N, C).
        tags: (N, C) bool.
    """
    return F.multilabel_soft_margin_loss(logits, tags.type_as(logits))


def without_row(backbone: Backbone, class_names: Sequence[str]) -> Tensor:
    """Which of the C classes no row of the backbone's classifier shows, (C,) bool."""
    return torch.tensor([name not in backbone.shared for name in class_names])


def loss_beside(loss: Loss, logits: Tensor, tags: Tensor, *, alone: Tensor) -> Tensor:
    """`loss` of the classes that are not `alone`, (C,) bool, and `sigmoid_cross_entropy` of those that are, added.

    A class without a row could not compete with those that start from one.
    """
    if not alone.any():
        return loss(logits, tags)
    return loss(logits[:, ~alone], tags[:, ~alone]) + sigmoid_cross_entropy(logits[:, alone], tags[:, alone])
