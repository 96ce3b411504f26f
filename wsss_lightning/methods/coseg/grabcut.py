"""GrabCut (Rother, Kolmogorov & Blake, SIGGRAPH 2004) as OpenCV has it, from a box alone."""

import cv2
import numpy as np

from wsss_lightning.methods.coseg.box_masks import Mask
from wsss_lightning.methods.coseg.hog import Floats, Image, Shape


def centre_box(shape: Shape, margin: float) -> Floats:
    """The box (4,) in the middle of an image (H, W) that leaves a share `margin` of each side free, 1 px at least."""
    height, width = shape
    left, top = (max(round(margin * side), 1) for side in (width, height))
    return np.array([left, top, width - left, height - top], np.float32)


def grabcut(image: Image, box: Floats, *, rounds: int) -> Mask:
    """Foreground (H, W) of an image (H, W, 3) whose thing lies in a box (4,)."""
    height, width = image.shape[:2]
    left, top, right, bottom = (int(edge) for edge in np.rint(box))
    left, top = min(max(left, 1), width - 1), min(max(top, 1), height - 1)
    where = (left, top, max(min(right, width - 1) - left, 1), max(min(bottom, height - 1) - top, 1))
    labels = np.zeros((height, width), np.uint8)
    cv2.setRNGSeed(0)  # its k-means draws from a global generator
    cv2.grabCut(image, labels, where, np.zeros((1, 65)), np.zeros((1, 65)), rounds, cv2.GC_INIT_WITH_RECT)
    return np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
