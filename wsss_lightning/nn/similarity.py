"""The dot product of normalised hypercolumns without the tensor of hypercolumns (points secs. 3.2 and 4.1)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from wsss_lightning.nn.hypercolumns import Size, Standardisation, channel_parts, hypercolumns_at
from wsss_lightning.ops.resize import resize_maps


class ColumnSimilarity:
    """z_i . z_j for one image, z = u / |u|, u = (f - mu) / sigma the standardised hypercolumn of a location.

    A dot product with u_j is linear in f and commutes with resizing, so each layer contributes a map of its own size:

        z_i . z_j = (sum_l resize <f_l, u_jl / sigma_l> - <mu / sigma, u_j>) / (|u_i| |u_j|)

    Lengths do not commute; they are computed on the grid, a few channels at a time. A location whose u is zero
    resembles nothing.

    Args:
        maps: (1, D_l, h_l, w_l) per layer, none finer than `grid`; half precision is kept and read as float32.
        grid: height and width of the grid, P = height x width.
        statistics: mu and sigma over the training set.
    """

    def __init__(self, maps: Sequence[Tensor], grid: Size, statistics: Standardisation) -> None:
        self.maps, self.grid, self.statistics = maps, grid, statistics
        squares = maps[0].new_zeros(grid[0] * grid[1], dtype=torch.promote_types(maps[0].dtype, torch.float32))
        start = 0
        for part in (part for feature_map in maps for part in channel_parts(feature_map, grid)):
            squares += (
                resize_maps(statistics.on_map(part.contiguous(memory_format=torch.channels_last), start), grid)
                .square_()
                .sum(dim=1)
                .flatten()
            )
            start += part.shape[1]
        self.inverse_lengths = torch.where(squares > 0, squares.rsqrt(), 0)

    def __call__(self, location: int) -> Tensor:
        """z_i . z_location of all i, (P,)."""
        column: Tensor = self.statistics(hypercolumns_at(self.maps, torch.tensor([location]), self.grid))[0]
        weight = column * self.statistics.scale
        products: Tensor = torch.zeros_like(self.inverse_lengths) - weight @ self.statistics.mean.to(weight.dtype)
        start = 0
        for feature_map in self.maps:
            own = weight[start : start + feature_map.shape[1]]
            products += resize_maps(_product(feature_map, own), self.grid).flatten()
            start += feature_map.shape[1]
        return products * self.inverse_lengths * self.inverse_lengths[location]


def _product(feature_map: Tensor, weight: Tensor) -> Tensor:
    """<f_l, weight> at the layer's own resolution, (1, D_l, h_l, w_l), (D_l,) -> (1, 1, h_l, w_l)."""
    height, width = feature_map.shape[-2:]
    total, start = weight.new_zeros(height * width), 0
    for part in channel_parts(feature_map, (height, width)):
        total += weight[start : start + part.shape[1]] @ part[0].flatten(1)
        start += part.shape[1]
    return total.view(1, 1, height, width)
