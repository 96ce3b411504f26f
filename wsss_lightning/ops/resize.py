"""Resizing of real-valued maps and of label masks, with one convention: pixels are areas, not corner points."""

from typing import TypeVar

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Labels = TypeVar("Labels", Tensor, NDArray[np.integer])


def resize_maps(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Real-valued maps (N, K, h, w) -> (N, K, H, W) for `size` (H, W) in pixels.

    An axis that grows is interpolated bilinearly, one that shrinks is averaged over the area of each new pixel:
    bilinear sampling reads two pixels per axis, so at a factor above 2 it skips pixels and a thin response vanishes or
    doubles with its position. Where a size is no multiple, the averaged windows share their border pixels. Maps of the
    right size are returned as they are.

    Raises:
        ValueError: `maps` is not (N, K, h, w) or not floating point.
    """
    if maps.ndim != 4 or not maps.is_floating_point():
        raise ValueError(f"maps must be floats of shape (N, K, h, w), not {maps.dtype} {tuple(maps.shape)}")
    height, width = min(maps.shape[2], size[0]), min(maps.shape[3], size[1])
    if (height, width) != maps.shape[2:]:
        maps = F.interpolate(maps, (height, width), mode="area")
    if size != (height, width):
        maps = F.interpolate(maps, size, mode="bilinear", align_corners=False)
    return maps


def resize_map(values: Tensor, size: tuple[int, int]) -> Tensor:
    """`resize_maps` of one map, (h, w) -> (H, W)."""
    return resize_maps(values[None, None], size)[0, 0]


def resize_labels(mask: Labels, size: tuple[int, int]) -> Labels:
    """Integer labels (..., h, w) -> (..., H, W) for `size` (H, W): each new pixel takes the label at its centre."""
    height, width = mask.shape[-2:]
    rows = (2 * np.arange(size[0]) + 1) * height // (2 * size[0])
    columns = (2 * np.arange(size[1]) + 1) * width // (2 * size[1])
    resized: Labels = mask[..., rows[:, None], columns]
    return resized
