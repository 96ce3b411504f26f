"""Bilinear enlargement of one map as two small matrices: what is linear or quadratic in it is had without enlarging."""

import torch
from torch import Tensor

Size = tuple[int, int]


def bilinear_weights(cells: int, size: int, *, corners: bool) -> Tensor:
    """What each of `cells` of a grid takes of the `size` cells of a map, (cells, size) float32, two in a row, sum 1.

    A grid's cells are areas of the image, in whose centres the map is read. Those of the map are areas, too
    (`ops.resize.resize_maps`), or with `corners` look at single pixels, the first and the last included, which is
    right to half a pixel.
    """
    centre = (torch.arange(cells, dtype=torch.float64) + 0.5) / cells
    place = centre * (size - 1) if corners else (centre * size - 0.5).clamp(0, size - 1)
    first = place.long().clamp_max(max(size - 2, 0))
    weights = torch.zeros(cells, size, dtype=torch.float64)
    weights.scatter_add_(1, first[:, None], (1 - (place - first))[:, None])
    weights.scatter_add_(1, (first + 1).clamp_max(size - 1)[:, None], (place - first)[:, None])
    return weights.float()


class Bilinear:
    """From maps of `size` (h, w) to a `grid` (H, W), none of whose edges is shorter; `corners`: see above."""

    def __init__(self, size: Size, grid: Size, *, corners: bool, device: torch.device | None = None) -> None:
        self.rows = bilinear_weights(grid[0], size[0], corners=corners).to(device)
        self.columns = bilinear_weights(grid[1], size[1], corners=corners).to(device)

    def enlarge(self, maps: Tensor) -> Tensor:
        """(..., h, w) -> (..., H, W)."""
        rows, columns = self.rows.to(maps.dtype), self.columns.to(maps.dtype)
        return rows @ maps @ columns.T

    def rectified_product(self, hidden: Tensor, weight: Tensor) -> Tensor:
        """`weight` (O, K) times the positive part of `hidden` (K, h, w) enlarged: (O, H, W), a row of it at a time."""
        by_row = torch.einsum("yh,khw->ywk", self.rows, hidden)
        return torch.stack([weight @ (self.columns @ row).relu_().T for row in by_row], dim=1)

    def moments(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Sums of the enlarged map (D, h, w) and of its square over the grid, (D,) float64 each."""
        rows, columns, maps = self.rows.double(), self.columns.double(), maps.double()
        squares = (rows.T @ rows) @ maps @ (columns.T @ columns)
        return (rows.sum(dim=0) @ maps) @ columns.sum(dim=0), (squares * maps).sum(dim=(1, 2))

    def squared_lengths(self, products: Tensor) -> Tensor:
        """Of the enlarged vectors, (H, W), from the dot products of all pairs of cells (h, w, h, w)."""
        by_row = torch.einsum("ya,yc,abcd->ybd", self.rows, self.rows, products)
        return torch.einsum("xb,xd,ybd->yx", self.columns, self.columns, by_row)

    def at(self, location: int) -> Tensor:
        """What the grid's cell number `location` takes of the map's cells, (h, w)."""
        row, column = divmod(location, len(self.columns))
        return self.rows[row][:, None] * self.columns[column]
