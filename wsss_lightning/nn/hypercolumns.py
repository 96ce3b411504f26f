"""Hypercolumns: the maps of all layers seen at one grid, without building the large tensor where it can be avoided.

points sec. 4.1: every map is resized to a grid of 1/4 of the input and concatenated to D features per location.
Linear functions of a location commute with bilinear resizing (its weights sum to one), so they are computed on each
map at its own resolution and resized afterwards. Maps finer than the grid are first brought down to it.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wsss_lightning.nn.bilinear import Bilinear
from wsss_lightning.nn.description import Node
from wsss_lightning.ops.resize import resize_maps

Size = tuple[int, int]
_NUMBERS = 32 * 64 * 84  # of a part: 0.7 MB in float32; all of VGG-16's hypercolumns (points sec. 4.1) are 91 MB


def compact(maps: Sequence[Tensor], grid: Size) -> list[Tensor]:
    """Maps finer than `grid` averaged down to it, and neighbouring layers of one size joined.

    The order of features stays, and one product per size is several times faster than one per layer.
    """
    down = [resize_maps(m, grid) if m.shape[-2] > grid[0] or m.shape[-1] > grid[1] else m for m in maps]
    return [torch.cat(list(same), dim=1) for _, same in groupby(down, key=lambda m: m.shape[-2:])]


def assemble(maps: Sequence[Tensor], grid: Size) -> Tensor:
    """The hypercolumns themselves: maps (N, D_l, h_l, w_l) -> (N, D, *grid)."""
    return torch.cat([resize_maps(m, grid) for m in maps], dim=1)


def channel_parts(feature_map: Tensor, size: Size) -> Iterator[Tensor]:
    """A map (1, D_l, h, w) a few channels at a time, as float32 at least: as many as are about 0.7 MB at `size`."""
    for part in torch.split(feature_map, max(_NUMBERS // (size[0] * size[1]), 1), dim=1):
        yield part.to(torch.promote_types(part.dtype, torch.float32))


def hypercolumns_at(maps: Sequence[Tensor], locations: Tensor, grid: Size, *, corners: bool = False) -> Tensor:
    """Hypercolumns of some grid locations of one image.

    `maps`: (1, D_l, h_l, w_l), none finer than `grid`; `locations`: (P,) int64 flat indices of the grid -> (P, D),
    equal to the rows of `assemble`. Half precision is read as float32. `corners`: see `nn.bilinear`.
    """
    rows, columns = locations // grid[1], locations % grid[1]
    return torch.cat([_bilinear_at(m[0], rows, columns, grid, corners=corners) for m in maps], dim=1)


def _bilinear_at(feature_map: Tensor, rows: Tensor, columns: Tensor, grid: Size, *, corners: bool) -> Tensor:
    """(D_l, h, w) resized to `grid` and read at P of its cells: (P, D_l)."""
    top, bottom, down = _neighbours(rows, feature_map.shape[1], grid[0], corners=corners)
    left, right, along = _neighbours(columns, feature_map.shape[2], grid[1], corners=corners)
    kind = torch.promote_types(feature_map.dtype, torch.float32)
    four = [feature_map[:, r, c].to(kind) for r in (top, bottom) for c in (left, right)]
    along, down = along.to(kind), down.to(kind)
    upper, lower = four[0].lerp(four[1], along), four[2].lerp(four[3], along)
    return upper.lerp(lower, down).T


def _neighbours(cells: Tensor, size: int, cells_in_grid: int, *, corners: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The two rows of a map between which the centre of a grid cell lies, and how near it is to the second, 0..1."""
    middle = cells.to(torch.float64) + 0.5
    areas = (middle * size / cells_in_grid - 0.5).clamp(0, size - 1)
    centre = middle * (size - 1) / cells_in_grid if corners else areas
    first = centre.long()
    return first, (first + 1).clamp_max(size - 1), centre - first


class Standardisation(nn.Module):
    """Zero mean and unit variance per feature dimension, fixed statistics (D,).

    With `enabled=False` it hands its input on: the paper's localizers and classifier see raw hypercolumns.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, std: Tensor, *, enabled: bool = True) -> None:
        super().__init__()
        alive = std > 1e-6  # a unit that never fires stays 0 instead of being blown up
        scale = torch.where(alive, 1 / std.clamp_min(1e-6), torch.zeros_like(std))
        self.register_buffer("mean", mean.float() if enabled else torch.zeros_like(mean).float())
        self.register_buffer("scale", scale.float() if enabled else torch.ones_like(std).float())

    def on_maps(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The same for the maps of all layers, (N, D_l, h_l, w_l) each."""
        starts = accumulate((each.shape[1] for each in maps), initial=0)
        return [self.on_map(each, start) for each, start in zip(maps, starts, strict=False)]

    @property
    def description(self) -> Node:
        """See `nn.description.describe`; the statistics themselves are kept with the weights."""
        return {"_target_": f"{__name__}.unit_statistics", "features": len(self.mean)}

    def forward(self, rows: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        return (rows - self.mean) * self.scale

    def on_map(self, feature_map: Tensor, start: int) -> Tensor:
        """The same for one layer's map (N, D_l, h, w) whose first dimension is number `start` of D."""
        part = slice(start, start + feature_map.shape[1])
        return (feature_map - self.mean[part, None, None]) * self.scale[part, None, None]


def unit_statistics(features: int) -> Standardisation:
    """A standardisation of D = `features` dimensions that changes nothing."""
    return Standardisation(torch.zeros(features), torch.ones(features))


def linear_on_maps(
    maps: Sequence[Tensor], weight: Tensor, bias: Tensor, grid: Size, *, corners: bool = False
) -> Tensor:
    """`weight` (O, D) applied to every hypercolumn: (N, O, *grid), layer by layer at each layer's own resolution."""
    total, start = bias[:, None, None], 0
    for m in maps:
        # The product comes out channels last, in which resizing is fast.
        part = F.linear(m.permute(0, 2, 3, 1), weight[:, start : start + m.shape[1]]).permute(0, 3, 1, 2)
        if corners:
            way = Bilinear((part.shape[2], part.shape[3]), grid, corners=True, device=part.device)
        total = total + (way.enlarge(part) if corners else resize_maps(part, grid))
        start += m.shape[1]
    return total


def perceptron_on_maps(
    maps: Sequence[Tensor],
    first: nn.Linear,
    second: nn.Linear,
    grid: Size,
    *,
    shift: Tensor | None = None,
    corners: bool = False,
) -> Tensor:
    """`second` of the positive part of `first` of every hypercolumn: (N, O, *grid).

    `shift`: (N, K), added to what `first` gives of an image; `corners`: see `nn.bilinear`. Where all maps but the first
    are single cells, only a row of the grid of hidden units is held at a time.
    """
    if any(each.shape[-2:] != (1, 1) for each in maps[1:]):
        hidden = linear_on_maps(maps, first.weight, first.bias, grid, corners=corners)
        hidden = hidden if shift is None else hidden + shift[:, :, None, None]
        return F.conv2d(torch.relu(hidden), second.weight[:, :, None, None], second.bias)
    channels = maps[0].shape[1]
    hidden = F.linear(maps[0].permute(0, 2, 3, 1), first.weight[:, :channels], first.bias).permute(0, 3, 1, 2)
    way = Bilinear((hidden.shape[2], hidden.shape[3]), grid, corners=corners, device=hidden.device)
    with torch.autocast(hidden.device.type, enabled=False):  # scores are compared: half precision would tie them
        hidden = hidden.float() if shift is None else hidden + shift.float()[:, :, None, None]
        if len(maps) > 1:
            cells = torch.cat([each.flatten(1) for each in maps[1:]], dim=1).float()
            hidden = hidden + F.linear(cells, first.weight[:, channels:])[:, :, None, None]
        scores = torch.stack([way.rectified_product(each, second.weight) for each in hidden])
        return scores + second.bias[:, None, None]
