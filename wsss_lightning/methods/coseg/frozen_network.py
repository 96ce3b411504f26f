"""The coseg networks on a trunk: a head and the multi-label branch look at the maps of its last two blocks."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wsss_lightning.methods.coseg.network import BRANCH_GAIN, Branch, Scores, branch_head
from wsss_lightning.nn.backbones import Backbone
from wsss_lightning.nn.bilinear import Bilinear
from wsss_lightning.nn.deeplab import STRIDE
from wsss_lightning.nn.initialisation import LAST_STD, draw_layers
from wsss_lightning.nn.trunk import Learning, Trunk, Variant


class FrozenNetwork(nn.Module):
    """3 x 3 convolution on the deep map, ReLU, dropout, 1 x 1; 1 x 1 on the shallow map; added, as the branch's logits.

    Args:
        backbone: what a `Trunk` can be made of, taken over; nothing of it learns.
        num_labels: L.
        stride: px of a cell of the maps.
        hidden: filters of the 3 x 3 convolution.
        dilation: cells between its taps.
        dropout: behind it; in the branch behind both layers.
        branch: see `CosegNetwork`; it looks at the global maximum of the deep map.
        branch_hidden: units of its two layers.
        generator: draws all that the backbone does not have.
    """

    learning: Learning = "frozen"

    def __init__(
        self,
        backbone: Backbone,
        *,
        num_labels: int,
        stride: int,
        hidden: int,
        dilation: int,
        dropout: float,
        branch: Branch | None,
        branch_hidden: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.trunk = Trunk(backbone, stride=stride, learning=self.learning)
        shallow, deep = self.trunk.channels
        self.context = nn.Conv2d(deep, hidden, 3, dilation=dilation, padding=dilation)
        self.dropout, self.out = nn.Dropout(dropout), nn.Conv2d(hidden, num_labels, 1)
        self.detail = nn.Conv2d(shallow, num_labels, 1, bias=False)
        draw_layers(nn.Sequential(self.context, self.out), generator, gain=math.sqrt(2))
        nn.init.normal_(self.detail.weight, std=LAST_STD, generator=generator)
        self.added = branch == "added"
        self.branch: nn.Sequential | None = None
        if branch is not None:
            self.branch = branch_head(deep, num_labels=num_labels, hidden=branch_hidden, dropout=dropout)
            draw_layers(self.branch, generator, gain=BRANCH_GAIN)

    def forward(self, images: Tensor, scale: float = 1.0) -> Scores:
        """Normalised images (N, 3, H, W), enlarged by `scale` -> their scores, a cell of the trunk each."""
        shallow, deep = self.trunk.look(images, Variant())
        return self.scores(shallow, deep if scale == 1.0 else self.trunk.look(images, Variant(scale))[1])

    def scores(self, shallow: Tensor, deep: Tensor) -> Scores:
        """Maps (N, D, h, w) at the image's own scale and (N, E, k, l) at any -> scores (N, L, k, l)."""
        detail = self.detail(shallow)
        if detail.shape[-2:] != deep.shape[-2:]:
            detail = F.interpolate(detail, deep.shape[-2:], mode="bilinear", align_corners=self.trunk.corners)
        pixels = self.out(self.dropout(torch.relu(self.context(deep)))) + detail
        if self.branch is None:
            return Scores(pixels, None)
        image = self.branch(deep.amax(dim=(2, 3)))
        return Scores(pixels + image[..., None, None] if self.added else pixels, image)

    def new_parameters(self) -> list[nn.Parameter]:
        """Those of the layers that the backbone does not have."""
        known = {id(parameter) for parameter in self.trunk.parameters()}
        return [parameter for parameter in self.parameters() if id(parameter) not in known]


class TrunkNetwork(FrozenNetwork):
    """The same layers on a trunk that learns as a whole: a `CosegNetwork` of any backbone.

    Head and branch look at the same maps: no layers come twice, since of most networks res3 is not known (sec. 3.3).
    """

    learning = "all"

    def forward(self, images: Tensor, scale: float = 1.0) -> Scores:
        """Normalised images (N, 3, 8h, 8w) -> their scores at 1/8, each in the middle of its 8 x 8 px."""
        scores = super().forward(images, scale)
        size, grid = scores.pixels.shape[-2:], (images.shape[-2] // STRIDE, images.shape[-1] // STRIDE)
        way = Bilinear((size[0], size[1]), grid, corners=self.trunk.corners, device=images.device)
        return Scores(way.enlarge(scores.pixels), scores.image)
