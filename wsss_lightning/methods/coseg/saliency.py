"""Frequency-tuned saliency (Achanta, Hemami, Estrada & Süsstrunk, CVPR 2009): a colour unlike the image's mean."""

import cv2
import numpy as np
from numpy.typing import NDArray

_SIGMA = 1.0  # px, of the Gaussian that takes away noise; theirs is a 5 x 5 binomial filter


def saliency(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Distance in CIE Lab of every pixel of an RGB image (H, W, 3) from the image's mean colour: (H, W), 0 or more."""
    lab = cv2.cvtColor(image.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB)
    smooth = cv2.GaussianBlur(lab, (0, 0), _SIGMA)
    distance: NDArray[np.float32] = np.linalg.norm(smooth - lab.mean(axis=(0, 1)), axis=2)
    return distance


def salient_region(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels whose saliency is at least twice the image's mean, the threshold of their paper (H, W)."""
    values = saliency(image)
    region: NDArray[np.bool_] = (values >= 2 * values.mean()) & (values > 0)
    return region
