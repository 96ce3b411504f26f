"""Metrics of one class against all else, from a confusion matrix of two labels (patches sec. 4)."""

import torch
from torch import Tensor

from wsss_lightning.metrics.segmentation import iou, recall


def one_against_all(target: Tensor, *, label: int, ignore_index: int = 255) -> Tensor:
    """1 where a label is, 0 for all others, background included; what is ignored stays so.

    Args:
        target: integer labels of any shape.
        label: which one.
        ignore_index: of pixels that do not count.
    """
    return torch.where(target == ignore_index, target, (target == label).to(target.dtype))


def accuracies(confusion: Tensor) -> dict[str, float]:
    """`ap` and the accuracies of `foreground` and `background`, fractions, nan where there is nothing to count.

    AP is the paper's name of TP / (TP + FP + FN), its footnote 2: the class's intersection over union. An accuracy is
    the share of a label's true pixels that are right.

    Args:
        confusion: (2, 2) counts, row = true label, background first.
    """
    background, foreground = recall(confusion).tolist()
    return {"ap": float(iou(confusion)[1]), "foreground": foreground, "background": background}
