"""Histograms of oriented gradients over a pyramid (Felzenszwalb, Girshick, McAllester & Ramanan, PAMI 2010).

A cell of 8 px has 31 features: 18 signed orientations, 9 unsigned ones and 4 energies, one of each block around it.
OpenCV computes the blocks' histograms. Boxes are (left, top, right, bottom) in pixels of the image.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Shape = tuple[int, int]
AnyPixels = TypeVar("AnyPixels", NDArray[np.uint8], NDArray[np.float32])

CELL, FEATURES = 8, 31
_BINS = 18
_NEAR = ((0, 0), (0, 1), (1, 0), (1, 1))  # the four blocks around a cell: row and column
_MIRRORED = np.concatenate([(8 - np.arange(18)) % 18, 18 + (8 - np.arange(9)) % 9, 27 + np.array([1, 0, 3, 2])])
_FLAT = 1e6  # px, of a Gaussian that weighs all pixels of a block alike
_CLIP = 0.2
_ASPECTS = (3 / 8, 2 / 3, 1, 3 / 2, 2, 8 / 3)  # width by height of the templates
_UPSCALED = 2  # the pyramid's largest enlargement of an image: DPM's extra octave


def hog(image: Image) -> Floats:
    """Features of an RGB image whose sides are multiples of 8 px: (H, W, 3) uint8 -> (H / 8, W / 8, 31)."""
    padded = cv2.copyMakeBorder(image, CELL, CELL, CELL, CELL, cv2.BORDER_REPLICATE)
    rows, columns = image.shape[0] // CELL, image.shape[1] // CELL
    size, block, cell = (padded.shape[1], padded.shape[0]), (2 * CELL, 2 * CELL), (CELL, CELL)
    descriptor = cv2.HOGDescriptor(size, block, cell, cell, _BINS, 1, _FLAT, 0, _CLIP, False, 1, True).compute(padded)
    blocks = np.asarray(descriptor, np.float32).reshape(columns + 1, rows + 1, 2, 2, _BINS).transpose(1, 0, 3, 2, 4)
    # A cell's histogram (h, w, 18) as each of the four blocks around it normalises it.
    histograms = [blocks[y : y + rows, x : x + columns, 1 - y, 1 - x] for y, x in _NEAR]
    signed = np.sum(histograms, axis=0) / 2
    unsigned = signed[..., : _BINS // 2] + signed[..., _BINS // 2 :]
    energies = [histogram.sum(axis=-1, keepdims=True) / np.sqrt(_BINS) for histogram in histograms]
    return np.concatenate([signed, unsigned, *energies], axis=-1).astype(np.float32)


def mirrored(features: Floats) -> Floats:
    """Features of the image flipped left to right, (..., h, w, 31) -> the same shape."""
    return np.ascontiguousarray(features[..., ::-1, _MIRRORED])


@dataclass(frozen=True)
class Scan:
    """Which windows of an image a detector looks at.

    Attributes:
        area: px, of a template; its sides in cells are one of `shapes`.
        interval: levels of the pyramid per octave.
        least_share: a window's width is at least this share of the image's, or its height of the image's height.
    """

    area: float
    interval: int
    least_share: float

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """Height and width in cells of every template: few of them, so that few products serve all."""
        cells = self.area / CELL**2
        return tuple((round(np.sqrt(cells / aspect)), round(np.sqrt(cells * aspect))) for aspect in _ASPECTS)

    @property
    def widest(self) -> int:
        """Cells of the longest side of a template."""
        return max(max(shape) for shape in self.shapes)

    def nearest(self, box: Floats) -> Shape:
        """The shape whose aspect is nearest to a box's."""
        width, height = float(box[2] - box[0]), float(box[3] - box[1])
        return min(self.shapes, key=lambda shape: abs(np.log(shape[1] * height / (shape[0] * width))))

    def pyramid(self, image: Image) -> list[Floats]:
        """Features of the image at all sizes that a window can be found at, the largest first, (h, w, 31) each."""
        images: list[Image] = []
        for level, size in enumerate(self.sizes((image.shape[0], image.shape[1]))):
            # An octave above is enough to shrink, at a fourth of the cost.
            images.append(resized(image if level < self.interval else images[level - self.interval], size))
        return [hog(each) for each in images]

    def sizes(self, size: Shape) -> list[Shape]:
        """Rows and columns of cells of each level of an image (H, W)."""
        longest = max(size)
        start = min(self.widest / self.least_share, _UPSCALED * longest / CELL)
        least = min(min(shape) for shape in self.shapes)
        count = max(int(np.log2(start / least) * self.interval) + 1, 1)
        scales = start / longest * 2 ** (-np.arange(count) / self.interval)
        sizes = [(max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)) for scale in scales]
        return list(dict.fromkeys(sizes))

    def windows(self, levels: list[Floats], shape: Shape, size: Shape) -> tuple[Floats, Floats]:
        """Features (P, h w 31) and boxes (P, 4) of a template's windows in the pyramid of an image (H, W)."""
        views = [sliding_window_view(level, shape, axis=(0, 1)) for level in self._fitting(levels, shape)]
        features = np.empty((sum(view.shape[0] * view.shape[1] for view in views), *shape, FEATURES), np.float32)
        start = 0
        for view in views:
            stop = start + view.shape[0] * view.shape[1]
            cells = view.transpose(0, 1, 3, 4, 2)
            features[start:stop].reshape(cells.shape)[...] = cells
            start = stop
        nothing = np.zeros((0, 4), np.float32)
        boxes = [_boxes(level, shape, size) for level in self._fitting(levels, shape)]
        return features.reshape(-1, shape[0] * shape[1] * FEATURES), np.concatenate([nothing, *boxes])

    def _fitting(self, levels: list[Floats], shape: Shape) -> Iterator[Floats]:
        for level in levels:
            shares = np.divide(shape, level.shape[:2])
            if shares.max() <= 1 and shares.max() >= self.least_share:
                yield level


def resized(image: Image, cells: Shape) -> Image:
    """An image (H, W, 3) at so many rows and columns of cells."""
    smaller = cells[0] * CELL < image.shape[0]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (cells[1] * CELL, cells[0] * CELL), interpolation=how), np.uint8)


def shrunk(image: Image, side: int | None) -> Image:
    """An image (H, W, 3) whose longer side is at most `side` px; None leaves it as it is."""
    scale = 1 if side is None else side / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def template(image: Image, box: Floats, shape: Shape) -> Floats:
    """Features (h, w, 31) of a box of an image, seen with a cell of what surrounds it."""
    unit = (box[2:] - box[:2]) / np.array([shape[1], shape[0]])
    around = np.concatenate([box[:2] - unit, box[2:] + unit])
    view = crop(image, around, ((shape[0] + 2) * CELL, (shape[1] + 2) * CELL))
    return np.ascontiguousarray(hog(view)[1:-1, 1:-1])


def crop(image: AnyPixels, box: NDArray[np.floating], size: Shape) -> AnyPixels:
    """A box of an image, which may reach beyond it, at (height, width); the border's pixels go on outside."""
    left, top, right, bottom = box.astype(float)
    scale = np.array([(right - left) / size[1], (bottom - top) / size[0]])
    blur = np.maximum(scale - 1, 0) / 2  # against aliasing where the box shrinks
    smooth: Any = image
    if blur.any():
        smooth = cv2.GaussianBlur(image, (0, 0), blur[0] + 1e-3, sigmaY=blur[1] + 1e-3)
    shift = np.array([left, top]) + scale / 2 - 0.5
    matrix = np.column_stack([np.diag(scale), shift])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped: Any = cv2.warpAffine(smooth, matrix, size[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
    pixels: AnyPixels = warped
    return pixels


def _boxes(level: Floats, shape: Shape, size: Shape) -> Floats:
    tops, lefts = np.mgrid[: level.shape[0] - shape[0] + 1, : level.shape[1] - shape[1] + 1].reshape(2, -1)
    unit = np.divide(size, level.shape[:2])  # px of the image in a cell, down and across
    corners = np.stack([lefts, tops, lefts + shape[1], tops + shape[0]], axis=1)
    boxes: Floats = (corners * np.tile(unit[::-1], 2)).astype(np.float32)
    return boxes
