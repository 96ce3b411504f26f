"""The network that scores one patch (patches sec. 3.2, Table 1), and its form that scores the patch of every pixel."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_LAYOUT = torch.channels_last  # on CPUs a pool takes a tenth of the time, a training step four fifths


class PatchNetwork(nn.Module):
    """Convolutions with max pools between them, one hidden layer and two scores, tanh after each (eq 2).

    A pool's stride is its window: only so do the input sizes of Table 1 follow, which prints a stride of 1.

    Args:
        filters: of each convolution and of the hidden layer, (40, 80, 160, 320) in Table 1.
        kernels: edge of each convolution, (8, 3, 5) for LSE1 and (6, 3, 7) for LSE2.
        pools: edge of the pool behind each convolution but the last, (4, 4) and (8, 2).
        bounded: F passes tanh as in the paper, so that one patch's probability is in [0.12, 0.88].
        generator: draws weights and biases from U(-s / sqrt(m), s / sqrt(m)), m the fan-in and s the `spread`; the
            paper's variance of sqrt(m) cannot be meant.
        spread: 1 is what networks of the paper's time began with; sqrt(3) gives a standard deviation of 1 / sqrt(m),
            with which the differences between patches do not fade from layer to layer.

    `size`: edge of a patch in px (see `patch_size`).

    Raises:
        ValueError: the lengths do not fit together.
    """

    def __init__(
        self,
        *,
        filters: Sequence[int],
        kernels: Sequence[int],
        pools: Sequence[int],
        bounded: bool,
        generator: torch.Generator,
        spread: float = 1.0,
    ) -> None:
        super().__init__()
        if not len(filters) - 1 == len(kernels) == len(pools) + 1 >= 2:
            raise ValueError("n pools, at least one, take n + 1 kernels and n + 2 numbers of filters")
        channels = pairwise((3, *filters[:-1]))
        shapes = [(*pair, kernel) for pair, kernel in zip(channels, kernels, strict=True)]
        self.convolutions = nn.ModuleList(nn.Conv2d(*shape) for shape in shapes)
        self.hidden = nn.Conv2d(filters[-2], filters[-1], 1)
        self.scores = nn.Conv2d(filters[-1], 2, 1)
        self.pools = tuple(pools)
        self.size = patch_size(kernels, pools)
        self.bounded = bounded
        for layer in (*self.convolutions, self.hidden, self.scores):
            assert isinstance(layer, nn.Conv2d) and layer.bias is not None
            bound = spread * layer.weight[0].numel() ** -0.5
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            nn.init.uniform_(layer.bias, -bound, bound, generator=generator)

    def forward(self, patches: Tensor) -> Tensor:
        """F, (M, 3, size, size) in [-1, 1] -> (M, 2): foreground, background.

        Raises:
            ValueError: the patches are of another size.
        """
        if patches.shape[2:] != (self.size, self.size):
            raise ValueError(f"patches are {self.size} x {self.size} px, not {tuple(patches.shape[2:])}")
        maps = patches.contiguous(memory_format=_LAYOUT)
        for convolution, pool in zip(self.convolutions, self.pools, strict=False):
            maps = torch.tanh(F.max_pool2d(convolution(maps), pool))
        return self._last_layers(maps).flatten(1)

    def dense(self, images: Tensor) -> Tensor:
        """F of the patch around every pixel, (N, 3, H, W) in [-1, 1] -> (N, 2, H, W).

        The pixel is the patch's centre, of an even patch the upper left of its four middle ones.
        """
        return self._dense(self.padded(images), depth=0)[..., : images.shape[2], : images.shape[3]]

    def dilated(self, images: Tensor) -> Tensor:
        """`dense` by dilated convolutions and pools, which exporters follow at any size; thrice the memory."""
        maps, apart = self.padded(images), 1
        for convolution, pool in zip(self.convolutions, self.pools, strict=False):
            maps = F.conv2d(maps, convolution.weight, convolution.bias, dilation=apart)  # type: ignore[arg-type]
            maps = torch.tanh(F.max_pool2d(maps, pool, stride=1, dilation=apart))
            apart *= pool
        last = self.convolutions[-1]
        features = torch.tanh(F.conv2d(maps, last.weight, last.bias, dilation=apart))  # type: ignore[arg-type]
        return self._scores(features)[..., : images.shape[2], : images.shape[3]]

    def padded(self, images: Tensor) -> Tensor:
        """Images with all that the patches of their pixels see, (N, 3, H, W) -> (N, 3, H', W').

        Beyond its edge an image is mirrored, the edge repeated, as often as needed: training patches never show an
        empty border. A few more rows and columns below and on the right make up a multiple of all pools.
        """
        rows, columns = (self._mirrored(length).to(images.device) for length in images.shape[2:])
        return images[:, :, rows[:, None], columns].contiguous(memory_format=_LAYOUT)

    def _mirrored(self, length: int) -> Tensor:
        """Which pixels of an axis to read, see `padded`."""
        stride = math.prod(self.pools)
        before, after = (self.size - 1) // 2, self.size // 2 + -length % stride
        positions = torch.arange(-before, length + after)
        positions = positions % torch.full_like(positions, 2 * length)  # a tensor, since ONNX takes no number here
        return torch.minimum(positions, 2 * length - 1 - positions)

    def _dense(self, maps: Tensor, *, depth: int) -> Tensor:
        """Scores from the input of convolution number `depth`.

        A pool that looks at every position instead of every p-th leaves p x p interleaved maps, each of which the
        patches of every p-th pixel share; the layers behind it treat each by itself. That takes as long as dilated
        convolutions and a third of their memory (experiments/speed/patches.py).
        """
        pool = self.pools[depth]
        pooled = torch.tanh(F.max_pool2d(self.convolutions[depth](maps), pool, stride=1))
        shifted = [pooled[..., row::pool, column::pool] for row in range(pool) for column in range(pool)]
        if depth + 1 < len(self.pools):
            scores = [self._dense(each, depth=depth + 1) for each in shifted]
        else:
            scores = list(self._last_layers(torch.cat(shifted)).chunk(pool**2))
        return F.pixel_shuffle(torch.stack(scores, dim=2).flatten(1, 2), pool)

    def _last_layers(self, maps: Tensor) -> Tensor:
        """The convolution without a pool and the two fully connected layers."""
        return self._scores(torch.tanh(self.convolutions[-1](maps)))

    def _scores(self, features: Tensor) -> Tensor:
        scores: Tensor = self.scores(torch.tanh(self.hidden(features)))
        return torch.tanh(scores) if self.bounded else scores


def patch_size(kernels: Sequence[int], pools: Sequence[int]) -> int:
    """Edge in px of what one pair of scores sees: 95 for LSE1, 133 for LSE2."""
    edge = kernels[-1]
    for kernel, pool in zip(reversed(kernels[:-1]), reversed(pools), strict=True):
        edge = edge * pool + kernel - 1
    return edge


def probability(scores: Tensor) -> Tensor:
    """Softmax of the foreground, from F of patches or from pooled scores (sec. 3.2): (N, 2, ...) -> (N, ...)."""
    return torch.sigmoid(scores[:, 0] - scores[:, 1])
