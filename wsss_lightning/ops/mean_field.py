"""Mean field of the dense CRF (`ops.crf`) in torch over the permutohedral lattice: any device, no compiler."""

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
    """Marginals Q of the field, (L, H, W) of the type and on the device of `unary`, in which they are differentiable.

    Kraehenbuehl & Koltun, NIPS 2011, algorithm 1. Arguments as of `ops.crf.dense_crf`, as tensors: `image` (H, W, 3)
    in 0..255, `unary` (L, H, W) floating, `regions` (H, W) integers, `region_costs` (R, L).
    """
    labels, height, width = unary.shape
    spatial, bilateral = _features(image.to(unary.device), spatial_sigma, bilateral_sigma, color_sigma)
    kernels = [(weight, Lattice.of(f)) for weight, f in ((spatial_weight, spatial), (bilateral_weight, bilateral)) if weight]
    energies = unary.reshape(labels, -1).T.contiguous()
    q = _softmax(-energies)
    for _ in range(iterations):
        scores = -energies
        if regions is not None and region_costs is not None:
            maximum = region_costs.max() if maximum_cost is None else maximum_cost
            scores = scores - region_energies(q, regions.flatten(), region_costs, maximum)
        for weight, lattice in kernels:
            scores = scores.add(lattice.filter(q), alpha=weight)
        q = _softmax(scores)
    return q.T.reshape(labels, height, width)


def _softmax(scores: Tensor) -> Tensor:
    """Over the labels of each pixel, (P, L); torch's own is slow over rows shorter than 16."""
    if scores.shape[1] >= 16:
        return torch.softmax(scores, dim=1)
    powers = (scores - scores.amax(1, keepdim=True)).exp()
    return powers / powers.sum(1, keepdim=True)


def _features(image: Tensor, spatial_sigma: float, bilateral_sigma: float, color_sigma: float) -> tuple[Tensor, Tensor]:
    """Positions (2, P), and positions with colours (5, P), in standard deviations."""
    height, width = image.shape[:2]
    rows, columns = torch.meshgrid(
        torch.arange(height, device=image.device), torch.arange(width, device=image.device), indexing="ij"
    )
    places = torch.stack([columns.flatten(), rows.flatten()]).float()
    colors = image.reshape(-1, 3).T.float()
    return places / spatial_sigma, torch.cat([places / bilateral_sigma, colors / color_sigma])
