"""A picture with what a model says of it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsss_lightning.inference.overlay import draw_overlay
from wsss_lightning.models import Inputs


@dataclass(eq=False)  # not frozen: Lightning rebuilds what a step returns, field by field
class LabelledPicture:
    """What a model says of one picture.

    `name`: of the picture; `pixels`: (H, W, 3) uint8 RGB, upright; `mask`: (H, W) uint8 labels, 0 background and
    `names[label]` for the rest; `probabilities`: (L, h, w) float32, h and w smaller than H and W where the picture is
    larger than `Settings.longest`; `inputs`: what the model tells of its classes.
    """

    name: str
    pixels: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    inputs: Inputs

    @property
    def names(self) -> tuple[str, ...]:
        """Of the labels 0..L - 1."""
        return ("background", *self.inputs.class_names)

    @property
    def indices(self) -> NDArray[np.uint8]:
        """`mask` in the indices of the data set that the model was trained on, as in its masks."""
        return np.array(self.inputs.indices, np.uint8)[self.mask]

    @cached_property
    def picture(self) -> Image.Image:
        """The photograph with its labels, their outlines and names."""
        drawn = draw_overlay(self.pixels, self.mask, names=self.names, palette=self.inputs.palette)
        return Image.fromarray(drawn)
