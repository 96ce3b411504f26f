"""Augmentation by albumentations 2.0, isolated here; its randomness is a function of (seed, step, image).

One factory per paper. Images shrink by the mean over each new pixel's area and are interpolated bilinearly otherwise;
masks take the nearest label. The points paper trains on images as they are.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from typing import Any

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

# cv2.INTER_NEAREST takes the label at a new pixel's corner: half a pixel away from the image, more where both shrink.
_NEAREST = cv2.INTER_NEAREST_EXACT


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
            A.Resize(*size, area_for_downscale="image", mask_interpolation=_NEAREST),
            A.HorizontalFlip(p=0.5),
            A.Affine(
                scale=scale,
                keep_ratio=True,
                translate_percent=(-shift, shift),
                fill=_colour(mean),
                fill_mask=255,
                p=1.0,
            ),
            A.RandomBrightnessContrast(brightness_limit=contrast, contrast_limit=contrast, p=1.0),
        ]
    )


def crop_augmentation(
    size: tuple[int, int] = (320, 320),
    *,
    mean: Sequence[float] = (0.485, 0.456, 0.406),
    scale: tuple[float, float] = (0.7, 1.3),
) -> A.Compose:
    """A piece anywhere in the image at a random scale, mirrored half the time, for dense labels (coseg sec. 4.2).

    The paper names the crop of 320 pixels; scale, mirroring and padding are those of its authors' code, which cuts out
    320 / s pixels and enlarges them by s: the same as cutting 320 pixels out of the enlarged image, up to rounding.

    Args:
        size: (height, width) of the result in pixels.
        mean: RGB in 0..1, painted around an image that is smaller; its mask gets 255 (ignore) there.
        scale: range of s, drawn uniformly.
    """
    return A.Compose(
        [
            A.RandomScale(scale_limit=(scale[0] - 1, scale[1] - 1), mask_interpolation=_NEAREST, p=1.0),
            A.RandomCrop(*size, pad_if_needed=True, pad_position="random", fill=_colour(mean), fill_mask=255, p=1.0),
            A.HorizontalFlip(p=0.5),
        ]
    )


def jitter_augmentation(
    size: tuple[int, int] = (300, 300),
    *,
    rotation: float = 15.0,
    scale: tuple[float, float] = (0.8, 1.2),
    contrast: float = 0.2,
) -> A.Compose:
    """The middle of an image scaled to fill `size`, then the jitter of the patches paper (sec. 3.1).

    Its five changes are mirroring, rotation, scale, brightness and contrast; it gives none of their amounts. Where the
    turned image leaves its frame empty it is mirrored, and a mask with it: `PatchNetwork.padded` does the same, and a
    painted border would tell the patches of training from those of inference.

    Args:
        size: (height, width) of the result in pixels.
        rotation: largest angle in degrees, either way.
        scale: range of the enlargement; (1, 1) for none.
        contrast: largest relative change of brightness and of contrast.
    """
    return A.Compose(
        [
            *_central_crop(size),
            A.HorizontalFlip(p=0.5),
            A.Affine(
                scale=scale,
                keep_ratio=True,
                rotate=(-rotation, rotation),
                border_mode=cv2.BORDER_REFLECT,
                p=1.0,
            ),
            A.RandomBrightnessContrast(brightness_limit=contrast, contrast_limit=contrast, p=1.0),
        ]
    )


def central_augmentation(size: tuple[int, int] = (300, 300)) -> A.Compose:
    """What `jitter_augmentation` begins with, and no jitter: the middle of an image scaled to fill `size` (H, W)."""
    return A.Compose([*_central_crop(size)])


def priors_augmentation(size: tuple[int, int] = (224, 224), *, frame: tuple[int, int] = (256, 256)) -> A.Compose:
    """A piece anywhere in the image squeezed into `frame`, mirrored half the time (priors sec. 4.2.2).

    The paper gives the localization network's 224 x 224 and no more; the rest is how Caffe, which it uses, trains on
    ImageNet. A crop of 224 out of 256 keeps at least three quarters of the image, and so the object that a tag names.

    Args:
        size: (height, width) of the result in pixels.
        frame: (height, width) that the whole image is resized to, whatever its shape; nothing is ever painted.

    Raises:
        ValueError: `frame` is smaller than `size`.
    """
    if frame[0] < size[0] or frame[1] < size[1]:
        raise ValueError(f"a crop of {size} (H, W) does not fit into a frame of {frame}")
    return A.Compose(
        [
            A.Resize(*frame, area_for_downscale="image", mask_interpolation=_NEAREST),
            A.RandomCrop(*size, p=1.0),
            A.HorizontalFlip(p=0.5),
        ]
    )


def augment(
    transform: A.Compose, arrays: Mapping[str, Image], *, seed: int, step: int, image_id: str
) -> dict[str, Image]:
    """Augment `image` (H, W, 3) and, where it is given, `mask` (H, W), both uint8 and moved alike.

    The same (seed, step, image_id) gives the same result in any process, with a mask or without.
    """
    digest = hashlib.sha256(f"{seed} {step} {image_id}".encode()).digest()
    state = int.from_bytes(digest[:8], "big")
    # Not `set_random_seed`: it gives every transform the same stream, so that mirrored images would be the dark ones.
    transform.set_random_state(np.random.default_rng(state), random.Random(state))
    moved = transform(**dict[str, Any](arrays))
    return {name: np.ascontiguousarray(array) for name, array in moved.items()}


def _central_crop(size: tuple[int, int]) -> list[A.DualTransform]:
    return [
        A.SmallestMaxSize(max_size_hw=(size[0], size[1]), area_for_downscale="image", mask_interpolation=_NEAREST),
        A.CenterCrop(*size),
    ]


def _colour(mean: Sequence[float]) -> tuple[float, ...]:
    """A mean in 0..1 as the value of a pixel."""
    return tuple(255 * value for value in mean)
