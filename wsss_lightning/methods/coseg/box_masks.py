"""Masks in boxes: filling, pasting, averaging and cleaning them. Boxes are (left, top, right, bottom) in pixels."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes  # type: ignore[attr-defined]

from wsss_lightning.methods.coseg.hog import Floats, Shape, crop

Mask = NDArray[np.bool_]
_RADIUS = 3  # px, of the disk that closes a mask
_FLOOR = 1e-3  # least probability that a location prior gives to either label


def box_slices(box: Floats, shape: Shape) -> tuple[slice, slice]:
    """Rows and columns of a box in an image (H, W): at least one of each, within the image."""
    left, top, right, bottom = (int(value) for value in np.rint(box))
    rows = slice(min(max(top, 0), shape[0] - 1), max(min(bottom, shape[0]), min(max(top, 0), shape[0] - 1) + 1))
    columns = slice(min(max(left, 0), shape[1] - 1), max(min(right, shape[1]), min(max(left, 0), shape[1] - 1) + 1))
    return rows, columns


def filled(box: Floats, shape: Shape) -> Mask:
    """A mask (H, W) of a box."""
    mask = np.zeros(shape, bool)
    mask[box_slices(box, shape)] = True
    return mask


def border_share(mask: Mask, box: Floats) -> float:
    """Share of the outermost pixels of a box that a mask (H, W) holds, 0..1."""
    inside = mask[box_slices(box, mask.shape)]
    ring = np.ones(inside.shape, bool)
    ring[1:-1, 1:-1] = False
    return float(inside[ring].mean())


def average_mask(masks: Sequence[Mask], boxes: Sequence[Floats], canvas: int) -> Floats:
    """Mean of masks, each seen through its box on a canvas: (canvas, canvas) in 0..1."""
    views = [crop(mask.astype(np.float32), box, (canvas, canvas)) for mask, box in zip(masks, boxes, strict=True)]
    return np.asarray(np.mean(views, axis=0), np.float32)


def pasted(canvas: Floats, box: Floats, shape: Shape) -> Floats:
    """A canvas in a box of an image (H, W); outside it the canvas's least value."""
    rows, columns = box_slices(box, shape)
    whole = np.full(shape, canvas.min(), np.float32)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    whole[rows, columns] = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA)
    return whole


def location_costs(prior: Floats) -> Floats:
    """-log of probabilities of the foreground (H, W): (2, H, W), as foreground and as background."""
    bounded = prior.clip(_FLOOR, 1 - _FLOOR)
    costs: Floats = -np.log(np.stack([bounded, 1 - bounded]))
    return costs


def cleaned(mask: Mask) -> Mask:
    """A mask (H, W) closed, its holes filled, opened by 3 x 3 px, and of its 8-connected parts the largest."""
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _RADIUS + 1, 2 * _RADIUS + 1))
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, disk, borderType=cv2.BORDER_REPLICATE)
    full = binary_fill_holes(closed).astype(np.uint8)
    square = np.ones((3, 3), np.uint8)
    opened = cv2.morphologyEx(full, cv2.MORPH_OPEN, square, borderType=cv2.BORDER_REPLICATE)
    count, parts, statistics, _ = cv2.connectedComponentsWithStats(opened, connectivity=8)
    if count == 1:
        return np.zeros(mask.shape, bool)
    return np.asarray(parts == 1 + statistics[1:, cv2.CC_STAT_AREA].argmax())
