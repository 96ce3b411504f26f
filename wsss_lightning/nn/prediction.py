"""What a network tells of one image."""

from dataclasses import dataclass

from torch import Tensor


@dataclass  # not frozen: Lightning rebuilds what a step returns, field by field
class Prediction:
    """Of one image: labels (H, W) at its own size, 0 background, and what probabilities can be read from again."""

    image_id: str
    labels: Tensor
    stored: dict[str, Tensor]
