"""What a network tells of one image."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from wsss_lightning.ops.resize import resize_map

# What a prediction stores of an image, (H, W) -> probabilities (L, H, W).
ProbabilityReading = Callable[[dict[str, Tensor], tuple[int, int]], Tensor]


class Prediction(NamedTuple):  # Lightning moves what a step returns to the CPU, but for frozen dataclasses
    """Of one image: labels (H, W) at its own size, 0 background, and what probabilities can be read from again."""

    image_id: str
    labels: Tensor
    stored: dict[str, Tensor]


class Edges(NamedTuple):
    """Heights and widths in px that a network's `probabilities` take: `rest` more than a multiple of `multiple`."""

    multiple: int = 1
    rest: int = 0

    def nearest(self, size: tuple[float, float]) -> tuple[int, int]:
        """The (height, width) of this kind that is nearest to `size`."""
        height, width = (max(round((edge - self.rest) / self.multiple), 1) * self.multiple + self.rest for edge in size)
        return height, width


def best_labels(probs: Tensor, size: tuple[int, int], *, threshold: float | None) -> Tensor:
    """The label of every pixel of an image of `size` from probabilities (L, h, w): (*size) int64.

    `threshold`: of a network of one class, which is told where its probability is above; None takes the best label.
    Maps are enlarged one after the other: all at once, those of a large photograph fill the memory.
    """
    if threshold is not None:
        return (resize_map(probs[1], size) > threshold).long()
    best, labels = resize_map(probs[0], size), torch.zeros(size, dtype=torch.int64, device=probs.device)
    for label in range(1, len(probs)):
        value = resize_map(probs[label], size)
        labels[value > best] = label
        best = torch.maximum(best, value)
    return labels


def possible_probabilities(probs: Tensor, tags: Sequence[bool]) -> Tensor:
    """Probabilities (L, H, W) where only background and the classes of `tags` (C,) are possible; sums are 1 again."""
    possible = F.pad(torch.tensor(tags, device=probs.device), (1, 0), value=True)
    kept = probs * possible[:, None, None]
    return kept / kept.sum(dim=0).clamp_min(torch.finfo(kept.dtype).tiny)
