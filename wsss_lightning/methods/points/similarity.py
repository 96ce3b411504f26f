"""The dot product of normalised hypercolumns without the tensor of hypercolumns (points secs. 3.2 and 4.1)."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from wsss_lightning.nn.backbones import Features
from wsss_lightning.nn.bilinear import Bilinear
from wsss_lightning.nn.hypercolumns import Size, Standardisation, channel_parts, hypercolumns_at
from wsss_lightning.ops.resize import resize_maps

_NOTHING = 1e-6  # of the largest squared length: rounding leaves as much of a location whose u is zero
_SMALL = 4_000_000  # numbers, 16 MB: those of `tiny` on 128 px; VGG-16's at the paper's size are 22.7 million


def similarity_of(features: Features, grid: Size, statistics: Standardisation) -> "ColumnSimilarity | CellSimilarity":
    """That of one image's features, in the way that suits its maps."""
    if len(features.maps) == 1:
        return CellSimilarity(features.maps[0], grid, statistics, corners=features.corners)
    return ColumnSimilarity(features.maps, grid, statistics)


class CellSimilarity:
    """The same of a single map (1, D, h, w), whose cells are few: from the dot products u_a . u_b of all their pairs.

    u_i = sum_a r_ia u_a with bilinear weights r, so u_i . u_j = sum_ab r_ia r_jb u_a . u_b; `corners`: see
    `nn.bilinear`.
    """

    def __init__(self, feature_map: Tensor, grid: Size, statistics: Standardisation, *, corners: bool) -> None:
        height, width = feature_map.shape[-2:]
        self.way = Bilinear((height, width), grid, corners=corners)
        cells = statistics.on_map(feature_map.float(), 0)[0].flatten(1)
        self.products = (cells.T @ cells).view(height, width, height, width)
        squares = self.way.squared_lengths(self.products).flatten()
        self.inverse_lengths = torch.where(squares > _NOTHING * squares.max(), squares.rsqrt(), 0)

    def __call__(self, location: int) -> Tensor:
        """z_i . z_location of all i, (P,)."""
        products = torch.tensordot(self.way.at(location), self.products)
        return self.way.enlarge(products).flatten() * self.inverse_lengths * self.inverse_lengths[location]


class ColumnSimilarity:
    """z_i . z_j for one image, z = u / |u|, u = (f - mu) / sigma the standardised hypercolumn of a location.

    A dot product with u_j is linear in f and commutes with resizing, so each layer contributes a map of its own size:

        z_i . z_j = (sum_l resize <f_l, u_jl / sigma_l> - <mu / sigma, u_j>) / (|u_i| |u_j|)

    Lengths do not commute; they are computed on the grid, a few channels at a time. A location whose u is zero
    resembles nothing. Hypercolumns that are small are kept whole, since one product is faster then than one a layer.

    Args:
        maps: (1, D_l, h_l, w_l) per layer, none finer than `grid`; half precision is kept and read as float32.
        grid: height and width of the grid, P = height x width.
        statistics: mu and sigma over the training set.
    """

    def __init__(self, maps: Sequence[Tensor], grid: Size, statistics: Standardisation) -> None:
        self.maps, self.grid, self.statistics = maps, grid, statistics
        parts = [standardised.square().sum(dim=1).flatten() for standardised in self._on_grid()]
        squares = torch.stack(parts).sum(dim=0)
        self.inverse_lengths = torch.where(squares > 0, squares.rsqrt(), 0)
        small = sum(m.shape[1] for m in maps) * grid[0] * grid[1] <= _SMALL
        self._columns = torch.cat(list(self._on_grid()), dim=1)[0].flatten(1) * self.inverse_lengths if small else None

    def _on_grid(self) -> Iterator[Tensor]:
        """Standardised hypercolumns u, a few channels (1, D_part, *grid) at a time."""
        start = 0
        for part in (part for feature_map in self.maps for part in channel_parts(feature_map, self.grid)):
            # Channels last: on a CPU, resizing many channels is several times faster in this layout.
            part = part.contiguous(memory_format=torch.channels_last)
            yield resize_maps(self.statistics.on_map(part, start), self.grid)
            start += part.shape[1]

    def __call__(self, location: int) -> Tensor:
        """z_i . z_location of all i, (P,)."""
        if self._columns is not None:
            return self._columns[:, location] @ self._columns
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
