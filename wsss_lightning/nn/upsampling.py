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
        self.stride, self.centre = stride, centre

    def forward(self, scores: Tensor) -> Tensor:
        """See the class."""
        return upsample(scores, self.weight, stride=self.stride, centre=self.centre)


def upsample(scores: Tensor, weight: Tensor, *, stride: int, centre: float) -> Tensor:
    """What an `Upsampling` of that weight, (L, 1, 2 stride, 2 stride), stride and centre does."""
    labels, height, width = scores.shape[1:]
    framed = F.pad(scores, (1, 1, 1, 1), mode="replicate")
    large = F.conv_transpose2d(framed, weight, stride=stride, groups=labels)
    first = 2 * stride - 1 - math.floor(centre)
    return large[..., first : first + stride * height, first : first + stride * width]
