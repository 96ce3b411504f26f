"""Pixel-adaptive refinement (PAR): labels spread among near pixels of like colour, in torch alone.

Ru, Zhan, Yu & Du, Learning affinity from attention, CVPR 2022, sec. 3.4. An alternative to a dense CRF that needs no
compiled code and runs on an accelerator.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from wsss_lightning.errors import InputError

_EPSILON = 1e-8  # of standard deviations, which are 0 where all neighbours have one colour


def pixel_adaptive_refinement(
    image: NDArray[np.uint8],
    unary: NDArray[np.float32],
    regions: NDArray[np.integer] | None = None,
    region_costs: NDArray[np.floating] | None = None,
    *,
    dilations: Sequence[int],
    color_width: float,
    position_width: float,
    position_weight: float,
    iterations: int,
    device: str = "cpu",
) -> NDArray[np.float32]:
    """Probabilities after `iterations` means over neighbours, (L, H, W) float32, summing to 1 over L; called as a CRF.

    P_i <- sum_j k_ij P_j over the 8 neighbours j of pixel i at every dilation, where k_i is the sum of
    softmax_j(-mean over channels of (|I_i - I_j| / (w_1 s_i))^2) and w_3 softmax_j(-(|i - j| / (w_2 s))^2), divided by
    1 + w_3, which the paper leaves out, so that P stays a distribution. s_i: standard deviations of the neighbours'
    colours, by channel; s: that of their distances. Beyond its border the image goes on as its last pixel.

    Args:
        image: I, (H, W, 3) colours; their scale cancels.
        unary: (L, H, W) energies, whose softmax of the negative is where P starts.
        regions, region_costs: of a CRF with higher-order terms, which this is not: None.
        dilations: distances of the neighbours in px.
        color_width, position_width, position_weight: w_1, w_2, w_3.
        device: of torch.

    Raises:
        InputError: there are regions.
        ValueError: image and energies differ in size.
    """
    if regions is not None or region_costs is not None:
        raise InputError("Pixel-adaptive refinement has no terms over regions: take a dense CRF, or regions=null.")
    if image.shape[:2] != unary.shape[1:]:
        raise ValueError(f"image {image.shape} and energies {unary.shape} differ in size")
    colours = torch.tensor(image, dtype=torch.float32, device=device).permute(2, 0, 1)
    offsets = [(dy, dx) for d in dilations for dy in (-d, 0, d) for dx in (-d, 0, d) if dy or dx]
    weights = _affinities(colours, offsets, color_width=color_width)
    weights += position_weight * _nearness(offsets, width=position_width).to(device)[:, None, None]
    weights /= 1 + position_weight
    probs = torch.tensor(unary, dtype=torch.float32, device=device).neg().softmax(dim=0)
    for _ in range(iterations):
        probs = sum(
            (weight * near for weight, near in zip(weights, _shifted(probs, offsets), strict=True)),
            start=torch.zeros_like(probs),
        )
    refined: NDArray[np.float32] = probs.cpu().numpy()
    return refined


def _shifted(maps: Tensor, offsets: Sequence[tuple[int, int]]) -> Iterator[Tensor]:
    """What every pixel's neighbour at each offset holds, (K, H, W) each."""
    height, width = maps.shape[1:]
    reach = max(abs(step) for offset in offsets for step in offset)
    padded = F.pad(maps[None], (reach,) * 4, mode="replicate")[0]
    for dy, dx in offsets:
        yield padded[:, reach + dy : reach + dy + height, reach + dx : reach + dx + width]


def _affinities(colours: Tensor, offsets: Sequence[tuple[int, int]], *, color_width: float) -> Tensor:
    """Softmax over neighbours (n, H, W) of how alike the colours (3, H, W) are."""
    near = torch.stack([*_shifted(colours, offsets)])
    scaled = (near - colours) / (color_width * (near.std(dim=0) + _EPSILON))
    affinities: Tensor = scaled.square().mean(dim=1).neg().softmax(dim=0)
    return affinities


def _nearness(offsets: Sequence[tuple[int, int]], *, width: float) -> Tensor:
    """Softmax (n,) over neighbours of how near they are."""
    distances = torch.tensor(offsets, dtype=torch.float32).norm(dim=1)
    nearness: Tensor = (distances / (width * (distances.std() + _EPSILON))).square().neg().softmax(dim=0)
    return nearness
