"""Pictures for reports: heat maps over images, and tiles with titles."""

from collections.abc import Sequence

import cv2
import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

Picture = NDArray[np.uint8]
WHITE = (255, 255, 255)
_PANEL = 384  # pixels; about what a report shows


def draw_scores(image: Picture, scores: Tensor) -> Picture:
    """The highest of the maps (F, h, w), each scaled to [0, 1], as a heat map over the image (H, W, 3) in grey."""
    low, high = scores.amin(dim=(1, 2), keepdim=True), scores.amax(dim=(1, 2), keepdim=True)
    best = ((scores - low) / (high - low).clamp_min(1e-12)).amax(dim=0).numpy()
    large = cv2.resize(best, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    heat = colormaps["viridis"](large)[..., :3] * 255
    blended: Picture = (0.3 * image.mean(axis=2, keepdims=True) + 0.7 * heat).round().astype(np.uint8)
    return blended


def enlarged(image: Picture) -> Picture:
    """Small images enlarged by a whole factor, so that neighbouring points can be told apart."""
    factor = max(_PANEL // max(image.shape[:2]), 1)
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def titled(tile: Picture, title: str) -> Picture:
    """A tile below its title, black on white, with a margin to the next one."""
    height, width = tile.shape[:2]
    size = width // 13
    canvas = Image.new("RGB", (width + size // 2, height + 2 * size), WHITE)
    canvas.paste(Image.fromarray(tile), (0, 3 * size // 2))
    ImageDraw.Draw(canvas).text((size // 4, size // 8), title, fill=(0, 0, 0), font=ImageFont.load_default(size))
    return np.array(canvas)


def in_rows(tiles: Sequence[Picture], *, columns: int) -> Picture:
    """Tiles of one size beside and below each other, the last row filled up with white."""
    filled = [*tiles, *[np.full_like(tiles[0], 255)] * (-len(tiles) % columns)]
    return np.vstack([np.hstack(filled[left : left + columns]) for left in range(0, len(filled), columns)])
