"""Metrics of image tags: how well scores or probabilities tell the images that contain a class from those without it.

Shapes: N images, C foreground classes. A class on which a metric is undefined is nan, and means leave it out.
"""

import torch
from torch import Tensor
from torchmetrics import Metric


def average_precision(scores: Tensor, tags: Tensor) -> Tensor:
    """Non-interpolated average precision per class: the mean over the positives of the precision at their score.

    Args:
        scores: (N, C), higher means present; images of equal score are retrieved together.
        tags: (N, C) bool, true presence.

    Returns:
        (C,) float64 in [0, 1]; nan where a class has no positive.

    Raises:
        ValueError: shapes differ or are not (N, C), tags are not bool, a score is nan.
    """
    _check_tags(scores, tags)
    per_class = []
    for column, present in zip(scores.unbind(1), tags.unbind(1), strict=True):
        positives, everyone = column[present].sort().values, column.sort().values
        hits = len(positives) - torch.searchsorted(positives, positives)
        retrieved = len(everyone) - torch.searchsorted(everyone, positives)
        per_class.append((hits.double() / retrieved).mean())
    return torch.stack(per_class)


def balanced_accuracy(probabilities: Tensor, tags: Tensor, threshold: float = 0.5) -> Tensor:
    """Mean of the fractions of positives and of negatives that are told right, per class.

    Args:
        probabilities: (N, C); present is predicted where they are at least `threshold`.
        tags: (N, C) bool, true presence.
        threshold: in the units of `probabilities`.

    Returns:
        (C,) float64 in [0, 1], 1/2 for a constant answer; nan where a class has no positive or no negative.

    Raises:
        ValueError: as `average_precision`.
    """
    _check_tags(probabilities, tags)
    present = probabilities >= threshold
    sensitivity = (present & tags).sum(0).double() / tags.sum(0)
    specificity = (~present & ~tags).sum(0).double() / (~tags).sum(0)
    return (sensitivity + specificity) / 2


class TagScores(Metric):
    """Collects scores (N, C) and tags (N, C) of all batches; `compute()` is how well images that show a class are told.

    Every process looks at all held-out images, so that nothing is exchanged.
    """

    full_state_update = False
    scores: list[Tensor]
    tags: list[Tensor]

    def __init__(self) -> None:
        super().__init__(sync_on_compute=False)
        self.add_state("scores", [], dist_reduce_fx="cat")
        self.add_state("tags", [], dist_reduce_fx="cat")

    def update(self, scores: Tensor, tags: Tensor) -> None:
        """Add one batch."""
        self.scores.append(scores.detach())
        self.tags.append(tags)

    def compute(self) -> dict[str, Tensor]:
        """`tag_ap`, the mean of `average_precision`, and `tag_accuracy`, that of `balanced_accuracy` at 1/2."""
        scores, tags = torch.cat(self.scores), torch.cat(self.tags)
        accuracy = balanced_accuracy(scores, tags).nanmean().float()
        return {"tag_ap": average_precision(scores, tags).nanmean().float(), "tag_accuracy": accuracy}


def _check_tags(scores: Tensor, tags: Tensor) -> None:
    if scores.shape != tags.shape or scores.ndim != 2:
        raise ValueError(f"scores {tuple(scores.shape)} and tags {tuple(tags.shape)} must both be (N, C)")
    if tags.dtype != torch.bool:
        raise ValueError(f"tags must be bool, not {tags.dtype}")
    if bool(scores.isnan().any()):
        raise ValueError("scores hold nan")
