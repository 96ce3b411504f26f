"""Mean field of the dense CRF of `ops.crf` over the permutohedral lattice in torch: any device, no compiler."""

import torch
from torch import Tensor

from wsss_lightning.ops.lattice import Lattice


def mean_field(
    image: Tensor,
    unary: Tensor,
    regions: Tensor | None = None,
    region_costs: Tensor | None = None,
    *,
    spatial_weight: float,
    spatial_sigma: float,
    bilateral_weight: float,
    bilateral_sigma: float,
    color_sigma: float,
    iterations: int,
    maximum_cost: float | None = None,
) -> Tensor:
    """Marginals Q of the field (Kraehenbuehl & Koltun, NIPS 2011, algorithm 1), differentiable in the unary.

    Args:
        image: I, (H, W, 3) in 0..255.
        unary: u, (L, H, W) floating; computed is on its device and in its type, kernels in float32.
        regions: the region of each pixel, (H, W) integers in 0..R-1.
        region_costs: (R, L).
        spatial_weight, spatial_sigma, bilateral_weight, bilateral_sigma, color_sigma, iterations, maximum_cost: as of
            `ops.crf.dense_crf`.

    Returns:
        (L, H, W), summing to 1 over L.

    Raises:
        ValueError: sigmas so small that the lattice has more than 2^62 cells.
    """
    labels, height, width = unary.shape
    spatial, bilateral = _features(image.to(unary.device), spatial_sigma, bilateral_sigma, color_sigma)
    weighted = ((spatial_weight, spatial), (bilateral_weight, bilateral))
    kernels = [(weight, Lattice.of(features)) for weight, features in weighted if weight]
    energies = unary.reshape(labels, -1).T.contiguous()
    q = _softmax(-energies)
    for _ in range(iterations):
        scores = -energies
        if regions is not None and region_costs is not None:
            maximum = float(region_costs.max() if maximum_cost is None else maximum_cost)
            scores = scores - _region_energies(q, regions.flatten(), region_costs.to(q.dtype), maximum)
        for weight, lattice in kernels:
            scores = scores.add(lattice.filter(q), alpha=weight)
        q = _softmax(scores)
    return q.T.reshape(labels, height, width)


def _region_energies(q: Tensor, regions: Tensor, costs: Tensor, maximum: float) -> Tensor:
    """`ops.pn_potts.region_energies` with pixels as rows: (P, L), (P,), (R, L) -> (P, L)."""
    logarithms = q.clamp_min(torch.finfo(torch.float32).tiny).log()
    totals = torch.zeros_like(costs).index_add(0, regions, logarithms)
    others = (totals.index_select(0, regions) - logarithms).exp()
    return maximum + others * (costs - maximum).index_select(0, regions)


def _softmax(scores: Tensor) -> Tensor:
    """Over the labels of each pixel, (P, L); torch's own is slow over rows shorter than 16."""
    if scores.shape[1] >= 16:
        return torch.softmax(scores, dim=1)
    powers = (scores - scores.amax(1, keepdim=True)).exp()
    return powers / powers.sum(1, keepdim=True)


def _features(image: Tensor, spatial_sigma: float, bilateral_sigma: float, color_sigma: float) -> tuple[Tensor, Tensor]:
    """Positions (2, P), and positions with colours (5, P), in standard deviations."""
    height, width = image.shape[:2]
    axes = torch.arange(width, device=image.device), torch.arange(height, device=image.device)
    places = torch.stack([axis.flatten() for axis in torch.meshgrid(*axes, indexing="xy")]).float()
    colors = image.reshape(-1, 3).T.float()
    return places / spatial_sigma, torch.cat([places / bilateral_sigma, colors / color_sigma])
