"""Learned up-sampling of label scores, which starts as bilinear interpolation (priors sec. 4.2.1)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Upsampling(nn.Module):
    """Transposed convolution with one kernel per label: (N, L, h, w) -> (N, L, stride x h, stride x w).

    Each kernel starts as bilinear interpolation between the points that the scores belong to. Beyond the outermost
    ones scores stay as they are: without, they would fade to zero, that is to equal probabilities, along the border.

    Args:
        num_labels: L.
        stride: input px per score.
        centre: px coordinate of score 0 along either axis, where px 0 has its centre at 0; from -0.5 to stride - 0.5.
    """

    def __init__(self, *, num_labels: int, stride: int, centre: float) -> None:
        super().__init__()
        start = math.floor(centre) - stride + 1  # first px that score 0 reaches
        distance = (torch.arange(start, start + 2 * stride) - centre).abs()
        line = (1 - distance / stride).clamp_min(0)
        self.weight = nn.Parameter(torch.outer(line, line).repeat(num_labels, 1, 1, 1))
        self.stride, self.centre, self.first = stride, centre, stride - start

    def forward(self, scores: Tensor) -> Tensor:
        """See the class."""
        labels, height, width = scores.shape[1:]
        framed = F.pad(scores, (1, 1, 1, 1), mode="replicate")
        large = F.conv_transpose2d(framed, self.weight, stride=self.stride, groups=labels)
        rows = slice(self.first, self.first + self.stride * height)
        columns = slice(self.first, self.first + self.stride * width)
        return large[..., rows, columns]
