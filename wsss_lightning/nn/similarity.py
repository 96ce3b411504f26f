"""The dot product of normalised hypercolumns without the tensor of hypercolumns (points secs. 3.2 and 4.1)."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from wsss_lightning.nn.hypercolumns import Size, Standardisation, hypercolumns_at
from wsss_lightning.ops.resize import resize_maps

_CHANNELS = 64  # seen at a time: of VGG-16's 4,224 at 64 x 84 locations, 1.4 MB instead of 91


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
        for part, start in _parts(maps):
            standardised = resize_maps(statistics.on_map(part, start), grid)
            squares += standardised.square_().sum(dim=1).flatten()
        self.inverse_lengths = torch.where(squares > 0, squares.rsqrt(), 0)

    def __call__(self, location: int) -> Tensor:
        """z_i . z_location of all i, (P,)."""
        column: Tensor = self.statistics(hypercolumns_at(self.maps, torch.tensor([location]), self.grid))[0]
        weight = column * self.statistics.scale
        products: Tensor = torch.zeros_like(self.inverse_lengths) - weight @ self.statistics.mean.to(weight.dtype)
        for index, feature_map in enumerate(self.maps):
            product = self._product(feature_map, weight, start=sum(m.shape[1] for m in self.maps[:index]))
            products += resize_maps(product, self.grid).flatten()
        return products * self.inverse_lengths * self.inverse_lengths[location]

    def _product(self, feature_map: Tensor, weight: Tensor, start: int) -> Tensor:
        """<f_l, weight_l> at the layer's own resolution, (1, 1, h_l, w_l)."""
        parts = [
            weight[start + first : start + first + part.shape[1]] @ part[0].flatten(1)
            for part, first in _parts([feature_map])
        ]
        return torch.stack(parts).sum(dim=0).view(1, 1, *feature_map.shape[-2:])


def _parts(maps: Sequence[Tensor]) -> Iterator[tuple[Tensor, int]]:
    """A few channels of a map at a time, as float32 at least, and the number of the first among all D."""
    start = 0
    for feature_map in maps:
        for part in torch.split(feature_map, _CHANNELS, dim=1):
            yield part.to(torch.promote_types(part.dtype, torch.float32)), start
            start += part.shape[1]
