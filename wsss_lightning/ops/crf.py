"""Fully connected conditional random field of Kraehenbuehl & Koltun (NIPS 2011) over pydensecrf or our own lattice.

For labels x_i, positions p_i and colours I_i the energy is sum_i u_i(x_i) + sum_{i<j} [x_i != x_j] k(i, j) with

    k(i, j) = w_s exp(-|p_i - p_j|^2 / 2 s_s^2) + w_b exp(-|p_i - p_j|^2 / 2 s_b^2 - |I_i - I_j|^2 / 2 s_c^2)

where each kernel is normalised symmetrically, as pydensecrf does. Parameter sets of the field's codes are in conf/crf.
Regions add P^n-Potts terms (priors eq 6), which cost: the paper prints its sum with a minus and its potentials as -log,
and would reward wrong labels.
"""

from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax

from wsss_lightning.errors import InputError
from wsss_lightning.ops.mean_field import mean_field
from wsss_lightning.ops.pn_potts import region_energies

Backend = Literal["auto", "pydensecrf", "lattice"]


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


def unary_from_scores(scores: NDArray[np.floating]) -> NDArray[np.float32]:
    """Unary energies -log softmax(s), (L, H, W) -> (L, H, W) float32, >= 0.

    priors eq 7 to the letter takes its maps P, which are in 0..1, for the scores: no label then costs 1 more than
    another. A network's logits give -log of its probabilities.
    """
    energies: NDArray[np.float32] = -log_softmax(scores.astype(np.float32), axis=0)
    return energies


def region_potential(probs: NDArray[np.floating], regions: NDArray[np.integer]) -> NDArray[np.float32]:
    """Cost of a region that is one label throughout: -log mean P over its pixels (priors eq 8).

    Args:
        probs: P, (L, H, W) in 0..1.
        regions: (H, W), every number in 0..R-1 occurs.

    Returns:
        (R, L) >= 0; a mean below 1e-5, the floor of `unary_from_probabilities`, counts as that.

    Raises:
        ValueError: sizes differ, or a number between 0 and the largest has no pixel.
    """
    if probs.shape[1:] != regions.shape:
        raise ValueError(f"probabilities {probs.shape} and regions {regions.shape} differ in size")
    sizes = np.bincount(regions.ravel())
    if not sizes.all():
        raise ValueError(f"region {int(sizes.argmin())} has no pixel: number regions without gaps")
    means = np.stack([np.bincount(regions.ravel(), weights=p.ravel()) for p in probs], axis=1) / sizes[:, None]
    return unary_from_probabilities(means)


def dense_crf(
    image: NDArray[np.uint8],
    unary: NDArray[np.float32],
    regions: NDArray[np.integer] | None = None,
    region_costs: NDArray[np.floating] | None = None,
    *,
    spatial_weight: float,
    spatial_sigma: float,
    bilateral_weight: float,
    bilateral_sigma: float,
    color_sigma: float,
    iterations: int,
    maximum_cost: float | None = None,
    backend: Backend = "auto",
    device: str = "cpu",
) -> NDArray[np.float32]:
    """Mean-field marginals Q of the field, (L, H, W) float32, summing to 1 over L.

    Args:
        image: I, (H, W, 3) uint8 colours, C-contiguous.
        unary: u, (L, H, W) float32 energies; a constant added to a pixel's energies cancels.
        regions: the region of each pixel, (H, W) in 0..R-1; None for a field of pairs alone.
        region_costs: of a region that is one label throughout, (R, L), `region_potential`.
        spatial_weight, spatial_sigma: w_s and s_s in pixels.
        bilateral_weight, bilateral_sigma, color_sigma: w_b, s_b in pixels and s_c in grey levels 0..255.
            With both weights 0, Q is softmax(-u).
        iterations: number of mean-field updates.
        maximum_cost: of a region with more than one label; None takes the largest of `region_costs`, so that a mixed
            region costs as much as the worst choice of one label.
        backend: `pydensecrf`, which needs a compiler; `lattice`, the same filter in torch (`ops.mean_field`), equal but
            for rounding; `auto` takes the first where it is installed and `device` is the processor.
        device: of torch, where the lattice is computed.

    Raises:
        ValueError: an array of another type, shape or order, an energy that is not finite, parameters out of range.
        InputError: a backend that is unknown, not installed or not for this device.
    """
    _check_image(image)
    _check_unary(unary, image.shape[:2])
    _check_parameters((spatial_weight, bilateral_weight), (spatial_sigma, bilateral_sigma, color_sigma), iterations)
    terms = (regions, region_costs) if regions is not None and region_costs is not None else None
    if terms:
        _check_regions(*terms, unary.shape)
    if _choose(backend, device) == "lattice":
        with torch.inference_mode():
            q = mean_field(
                *(torch.tensor(array, device=device) for array in (image, unary, *(terms or ()))),
                spatial_weight=spatial_weight,
                spatial_sigma=spatial_sigma,
                bilateral_weight=bilateral_weight,
                bilateral_sigma=bilateral_sigma,
                color_sigma=color_sigma,
                iterations=iterations,
                maximum_cost=maximum_cost,
            )
        return np.asarray(q.cpu())
    from pydensecrf.densecrf import DenseCRF2D  # not at the top: a machine without a compiler has none

    labels, height, width = unary.shape
    field = DenseCRF2D(width, height, labels)
    # Copies: pydensecrf takes only writable arrays, and an image read by Pillow is not.
    field.setUnaryEnergy(np.array(unary, order="C").reshape(labels, -1))
    field.addPairwiseGaussian(sxy=spatial_sigma, compat=spatial_weight)
    field.addPairwiseBilateral(sxy=bilateral_sigma, srgb=color_sigma, rgbim=image.copy(), compat=bilateral_weight)
    if terms is None:
        q = field.inference(iterations)
    else:
        maximum = float(terms[1].max() if maximum_cost is None else maximum_cost)
        q = _infer(field, unary.reshape(labels, -1), terms[0].ravel(), terms[1], maximum, iterations)
    return np.array(q, dtype=np.float32).reshape(unary.shape)


def _choose(backend: str, device: str) -> str:
    """`pydensecrf` or `lattice`."""
    if backend not in ("auto", "pydensecrf", "lattice"):
        raise InputError(f"crf.backend={backend} is unknown: it is auto, pydensecrf or lattice.")
    installed, processor = find_spec("pydensecrf") is not None, torch.device(device).type == "cpu"
    if backend == "auto":
        return "pydensecrf" if installed and processor else "lattice"
    if backend == "pydensecrf" and not installed:
        raise InputError(
            "crf.backend=pydensecrf needs pydensecrf2, which is missing: pip install 'wsss-lightning[pydensecrf]', "
            "with a C++ compiler and Python below 3.13, or take crf.backend=lattice."
        )
    if backend == "pydensecrf" and not processor:
        raise InputError(f"crf.backend=pydensecrf does not run on crf.device={device}: take crf.backend=lattice.")
    return backend


def _infer(
    field: Any,
    unary: NDArray[np.float32],
    regions: NDArray[np.integer],
    costs: NDArray[np.floating],
    maximum: float,
    iterations: int,
) -> Any:
    """The field's own updates, in each of which the regions' expected costs under the last Q join the unary ones."""
    q, *buffers = field.startInference()
    for _ in range(iterations):
        field.setUnaryEnergy(unary + region_energies(np.asarray(q), regions, costs, maximum))
        field.stepInference(q, *buffers)
    return q


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


def _check_regions(regions: NDArray[np.integer], costs: NDArray[np.floating], shape: tuple[int, ...]) -> None:
    if regions.shape != shape[1:] or costs.shape != (int(regions.max()) + 1, shape[0]):
        raise ValueError(f"need regions {shape[1:]} and costs (R, {shape[0]}), not {regions.shape} and {costs.shape}")
    if not np.isfinite(costs).all():
        raise ValueError("region costs hold nan or infinity; region_potential gives finite ones")


def _check_parameters(weights: tuple[float, ...], sigmas: tuple[float, ...], iterations: int) -> None:
    if min(weights) < 0 or min(sigmas) <= 0 or iterations < 1:
        raise ValueError(f"need weights >= 0, sigmas > 0, iterations >= 1, not {weights}, {sigmas}, {iterations}")
