"""Fully connected conditional random field of Kraehenbuehl & Koltun (NIPS 2011) over pydensecrf.

For labels x_i, positions p_i and colours I_i the energy is sum_i u_i(x_i) + sum_{i<j} [x_i != x_j] k(i, j) with

    k(i, j) = w_s exp(-|p_i - p_j|^2 / 2 s_s^2) + w_b exp(-|p_i - p_j|^2 / 2 s_b^2 - |I_i - I_j|^2 / 2 s_c^2)

where pydensecrf normalises each kernel symmetrically. Parameter sets of the field's codes stand in conf/crf.
"""

import numpy as np
from numpy.typing import NDArray
from pydensecrf.densecrf import DenseCRF2D


def unary_from_probabilities(probs: NDArray[np.floating], floor: float = 1e-5) -> NDArray[np.float32]:
    """Unary energies -log max(p, floor), (L, H, W) -> (L, H, W) float32, >= 0 where p <= 1 (priors eq. 7).

    Args:
        probs: label probabilities; sums over scales serve as well, since a factor per pixel cancels in the field.
        floor: least probability, 1e-5 in the test-time code of SEC and of psa.

    Raises:
        ValueError: a negative or undefined value (scores are no probabilities), or a floor that is not positive.
    """
    if floor <= 0:
        raise ValueError(f"floor must be positive, not {floor}")
    if not (probs >= 0).all():
        raise ValueError("probabilities must not be negative or nan; apply softmax to scores first")
    energies: NDArray[np.float32] = -np.log(np.maximum(probs.astype(np.float32), floor))
    return energies


def dense_crf(
    image: NDArray[np.uint8],
    unary: NDArray[np.float32],
    *,
    spatial_weight: float,
    spatial_sigma: float,
    bilateral_weight: float,
    bilateral_sigma: float,
    color_sigma: float,
    iterations: int,
) -> NDArray[np.float32]:
    """Mean-field marginals Q of the field, (L, H, W) float32, summing to 1 over L.

    Args:
        image: I, (H, W, 3) uint8 colours, C-contiguous.
        unary: u, (L, H, W) float32 energies; a constant added to a pixel's energies cancels.
        spatial_weight, spatial_sigma: w_s and s_s in pixels.
        bilateral_weight, bilateral_sigma, color_sigma: w_b, s_b in pixels and s_c in grey levels 0..255.
            With both weights 0, Q is softmax(-u).
        iterations: number of mean-field updates.

    Raises:
        ValueError: an array of another type, shape or order, an energy that is not finite, parameters out of range.
    """
    _check_image(image)
    _check_unary(unary, image.shape[:2])
    _check_parameters((spatial_weight, bilateral_weight), (spatial_sigma, bilateral_sigma, color_sigma), iterations)
    labels, height, width = unary.shape
    field = DenseCRF2D(width, height, labels)
    # Copies: pydensecrf takes only writable arrays, and an image read by Pillow is not.
    field.setUnaryEnergy(np.array(unary, order="C").reshape(labels, -1))
    field.addPairwiseGaussian(sxy=spatial_sigma, compat=spatial_weight)
    field.addPairwiseBilateral(sxy=bilateral_sigma, srgb=color_sigma, rgbim=image.copy(), compat=bilateral_weight)
    return np.array(field.inference(iterations), dtype=np.float32).reshape(unary.shape)


def _check_image(image: NDArray[np.uint8]) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image must be uint8 (H, W, 3), not {image.dtype} {image.shape}")
    if not image.flags.c_contiguous:
        raise ValueError("image must be C-contiguous; pass numpy.ascontiguousarray(image)")


def _check_unary(unary: NDArray[np.float32], size: tuple[int, ...]) -> None:
    if unary.dtype != np.float32 or unary.ndim != 3 or unary.shape[1:] != size:
        expected = ", ".join(["L", *map(str, size)])
        raise ValueError(f"unary must be float32 ({expected}) as the image, not {unary.dtype} {unary.shape}")
    if not np.isfinite(unary).all():
        raise ValueError("unary holds nan or infinity; unary_from_probabilities gives finite energies")


def _check_parameters(weights: tuple[float, ...], sigmas: tuple[float, ...], iterations: int) -> None:
    if min(weights) < 0 or min(sigmas) <= 0 or iterations < 1:
        raise ValueError(f"need weights >= 0, sigmas > 0, iterations >= 1, not {weights}, {sigmas}, {iterations}")
