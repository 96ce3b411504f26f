"""Augmentation by albumentations 2.0, isolated here; its randomness is a function of (seed, step, image)."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

import albumentations as A
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def picture_augmentation(
    size: tuple[int, int],
    *,
    mean: Sequence[float] = (0.485, 0.456, 0.406),
    scale: tuple[float, float] = (0.8, 1.2),
    shift: float = 0.1,
    contrast: float = 0.2,
) -> A.Compose:
    """Mirroring, small changes of scale and place, brightness and contrast, for pictures that carry tags.

    The picture is moved inside its frame rather than cropped at random: a crop may lose the object that a tag names.

    Args:
        size: (height, width) of the result in pixels.
        mean: RGB in 0..1, painted where the moved picture leaves its frame empty; a mask gets 255 (ignore) there.
        scale: range of the enlargement; (1, 1) for none.
        shift: largest shift, as a fraction of height and width.
        contrast: largest relative change of brightness and of contrast.
    """
    return A.Compose(
        [
            A.Resize(*size, area_for_downscale="image"),
            A.HorizontalFlip(p=0.5),
            A.Affine(
                scale=scale,
                keep_ratio=True,
                translate_percent=(-shift, shift),
                fill=tuple(255 * value for value in mean),
                fill_mask=255,
                p=1.0,
            ),
            A.RandomBrightnessContrast(brightness_limit=contrast, contrast_limit=contrast, p=1.0),
        ]
    )


def augment(transform: A.Compose, image: Image, *, seed: int, step: int, image_id: str) -> Image:
    """Augment an image (H, W, 3) uint8; the same (seed, step, image_id) gives the same result in any process."""
    _set_state(transform, seed, step, image_id)
    return np.ascontiguousarray(transform(image=image)["image"])


def augment_with_mask(
    transform: A.Compose, image: Image, mask: Image, *, seed: int, step: int, image_id: str
) -> tuple[Image, Image]:
    """Augment an image (H, W, 3) together with its mask (H, W) uint8, as `augment` does."""
    _set_state(transform, seed, step, image_id)
    result = transform(image=image, mask=mask)
    return np.ascontiguousarray(result["image"]), np.ascontiguousarray(result["mask"])


def _set_state(transform: A.Compose, seed: int, step: int, image_id: str) -> None:
    digest = hashlib.sha256(f"{seed} {step} {image_id}".encode()).digest()
    state = int.from_bytes(digest[:8], "big")
    # Not `set_random_seed`: it gives every transform the same stream, so that mirrored images would be the dark ones.
    transform.set_random_state(np.random.default_rng(state), random.Random(state))
