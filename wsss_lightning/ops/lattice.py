"""Gaussian filter of many values at scattered points, on any device of torch (Adams, Baek & Davis, Eurographics 2010).

Features in d dimensions lie in simplices of the permutohedral lattice, {x in (d+1) Z^(d+1) + r (1, ..., 1): sum x = 0}
for r = 0..d. A filter spreads values over the d + 1 vertices about each point (splat), mixes vertices with their
neighbours along the d + 1 axes of the lattice (blur, 1/2 1 1/2 along each) and reads them at the points again (slice).
All three are sums of weighted rows, for which torch has one call on every device: `embedding_bag`.
"""

import math
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, pad

_MARGIN = 3  # times d + 1: how far neighbours of vertices lie from the points' own, in coordinates of the lattice


class Lattice:
    """The filter K of P points, normalised on both sides: D^-1/2 K D^-1/2 with D = diag(K 1).

    With it the factor of the lattice, 1 / (1 + 2^-d), cancels. As pydensecrf's NORMALIZE_SYMMETRIC.
    """

    def __init__(self, splat: "Rows", blurs: list["Rows"], slices: "Rows") -> None:
        self._splat, self._blurs, self._slices = splat, blurs, slices

    @classmethod
    def of(cls, features: Tensor) -> Self:
        """The lattice over points.

        Args:
            features: (d, P) float32, in standard deviations of the Gaussian.

        Raises:
            ValueError: features spread over more than 2^62 cells.
        """
        # pydensecrf takes four points at a time and fills up with zeros: their vertices have no weight, but are there.
        count = features.shape[1]
        keys, weights, steps = _simplices(pad(features, (0, -count % 4)))
        size, padded = keys.shape
        ordered, order = keys.flatten().sort()
        first = torch.cat([ordered.new_ones(1, dtype=torch.bool), ordered[1:] != ordered[:-1]])
        starts = first.nonzero().flatten()
        vertices = torch.empty_like(order).scatter_(0, order, first.cumsum(0) - 1).reshape(keys.shape)
        points = order % padded
        real = points < count
        splat = Rows(points * real, starts, weights.flatten().index_select(0, order) * real)
        bounds = torch.arange(0, count * size, size, device=order.device)
        slices = Rows(vertices.T[:count].flatten(), bounds, weights.T[:count].flatten())
        distinct = ordered.index_select(0, starts)
        lattice = cls(splat, [_blur(distinct, step) for step in steps.tolist()], slices)
        lattice._normalise()
        return lattice

    def filter(self, values: Tensor) -> Tensor:
        """Filtered rows of `values`, (P, L) -> (P, L); its derivative is the filter with the axes in reverse order."""
        filtered: Tensor = _Filter.apply(values, self, False)
        return filtered

    def apply(self, values: Tensor, *, reverse: bool) -> Tensor:
        """`filter` without a derivative; `reverse`: the transposed filter."""
        values = self._splat.sum(values)
        for blur in reversed(self._blurs) if reverse else self._blurs:
            values = blur.sum(values)
        return self._slices.sum(values)

    def _normalise(self) -> None:
        ones = torch.ones(len(self._slices.starts), 1, device=self._slices.starts.device)
        scale = self.apply(ones, reverse=False).flatten().clamp_min(1e-20).rsqrt()
        self._splat.weights *= scale.index_select(0, self._splat.index)
        self._slices.weights *= scale.repeat_interleave(len(self._blurs))


class Rows:
    """A sparse matrix: row i is the weighted sum of rows `index[starts[i]:starts[i + 1]]` of what it is applied to."""

    def __init__(self, index: Tensor, starts: Tensor, weights: Tensor) -> None:
        # 32 bits: half the reading; there are far fewer than 2^31 vertices
        self.index, self.starts, self.weights = index.int(), starts.int(), weights.contiguous()

    def sum(self, values: Tensor) -> Tensor:
        """(M, L) -> (len(starts), L)."""
        weights = self.weights.to(values.dtype)
        return embedding_bag(self.index, values, self.starts, mode="sum", per_sample_weights=weights)


class _Filter(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, lattice: Lattice, reverse: bool) -> Tensor:
        ctx.lattice, ctx.reverse = lattice, reverse
        return lattice.apply(values, reverse=reverse)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        gradient = gradients[0].contiguous()
        return _Filter.apply(gradient, ctx.lattice, not ctx.reverse), None, None


def _simplices(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Keys (d+1, P) of the vertices about each point, their barycentric weights (d+1, P), and the steps (d+1,).

    A key numbers the lattice's points: it is linear in their coordinates, so that the neighbour along axis j has the
    key plus `steps[j]`. From the vertex of remainder 0, one step along each axis, in the order of the differences
    between point and vertex, leads through all vertices of the simplex.
    """
    elevated = _elevate(features)
    size = len(elevated)
    origin, rank = _nearest(elevated)
    strides = _strides(origin)
    steps = strides.sum() - size * strides
    keys = torch.empty(size + 1, elevated.shape[1], dtype=torch.int64, device=elevated.device)
    keys[0] = sum(o.long() * s for o, s in zip(origin, strides.tolist(), strict=True))
    keys.scatter_(0, size - rank, steps[:, None].expand(rank.shape))
    difference = torch.empty_like(elevated).scatter_(0, size - 1 - rank, (elevated - origin) * (1 / size))
    weights = difference - difference.roll(1, 0)
    weights[0] += 1
    return keys[:size].cumsum(0), weights, steps


def _elevate(features: Tensor) -> Tensor:
    """Features onto the plane of the lattice, (d, P) -> (d+1, P): sec. 3.1; as wide as the blur's deviation."""
    dimensions, points = features.shape
    elevated = features.new_empty(dimensions + 1, points)
    total = torch.zeros_like(features[0])
    deviation = float(np.float32(math.sqrt(2 / 3) * (dimensions + 1)))  # rounded as pydensecrf does: points on an edge
    for j in range(dimensions, 0, -1):
        scaled = features[j - 1] * (deviation / math.sqrt(j * (j + 1)))
        elevated[j] = total - j * scaled
        total += scaled
    elevated[0] = total
    return elevated


def _nearest(elevated: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest vertex of remainder 0 (d+1, P) and the rank 0..d of each coordinate's difference, largest first."""
    size = len(elevated)
    rounded = (elevated * (1 / size)).round_()
    excess = rounded.sum(0).long()
    difference = elevated - rounded * size
    rank = torch.zeros_like(elevated, dtype=torch.int64)
    for i in range(size):
        for j in range(i + 1, size):
            smaller = difference[i] < difference[j]
            rank[i] += smaller
            rank[j] += ~smaller
    rank += excess
    wrapped = (rank < 0).long() - (rank >= size).long()
    return (rounded + wrapped) * size, rank + wrapped * size


def _strides(origin: Tensor) -> Tensor:
    """How much a coordinate counts in a key, (d+1,); the last follows from the others."""
    span = origin[:-1].amax(1) - origin[:-1].amin(1) + 2 * _MARGIN * len(origin)
    strides = [1]
    for cells in span.long().tolist():
        strides.append(strides[-1] * (cells + 1))
    if strides[-1] >= 2**62:
        raise ValueError("features are spread over too many cells of the lattice; take larger sigmas")
    return torch.tensor([*strides[:-1], 0], device=origin.device)


def _blur(keys: Tensor, step: int) -> Rows:
    """1/2, 1, 1/2 along one axis; vertices that have no point near them do not exist and pass nothing on."""
    count = len(keys)
    own = torch.arange(count, device=keys.device)
    after = torch.searchsorted(keys, keys + step).clamp_max_(count - 1)
    exists = keys.index_select(0, after) == keys + step
    following = torch.where(exists, after, count)  # one more, which takes what has no place
    preceding = own.new_full((count + 1,), count).scatter_(0, following, own)[:count]
    index = torch.stack([own, following, preceding], dim=1)
    weights = torch.where(index < count, torch.tensor([1.0, 0.5, 0.5], device=keys.device), 0)
    return Rows(torch.where(index < count, index, own[:, None]).flatten(), 3 * own, weights.flatten())
