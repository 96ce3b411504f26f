"""What a network tells of one image."""

from typing import NamedTuple

from torch import Tensor


class Prediction(NamedTuple):  # Lightning moves what a step returns to the CPU, but for frozen dataclasses
    """Of one image: labels (H, W) at its own size, 0 background, and what probabilities can be read from again."""

    image_id: str
    labels: Tensor
    stored: dict[str, Tensor]
