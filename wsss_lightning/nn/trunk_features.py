"""A frozen trunk as a backbone: hypercolumns of its last two blocks, which need not be stored a second time."""

import torch
from torch import Tensor

from wsss_lightning.nn.backbones import Backbone, Features
from wsss_lightning.nn.description import described
from wsss_lightning.nn.trunk import Trunk, Variant


class TrunkFeatures(Backbone):
    """One map, shallow and deep channels of `Trunk`, and the average of the deep ones as the global vector."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk, self.corners = trunk, trunk.corners
        self.channels, self.global_size = (sum(trunk.channels),), trunk.channels[1]
        self.mean, self.std = trunk.backbone.mean, trunk.backbone.std

    def features(self, images: Tensor, *, with_global: bool = True) -> Features:
        shallow, deep = self.trunk.look(images, Variant())
        pooled = deep.mean(dim=(2, 3)) if with_global else deep.new_zeros(len(deep), 0)
        return Features(maps=[torch.cat([shallow, deep], dim=1)], pooled=pooled, corners=self.corners)


@described
def trunk_features(*, backbone: Backbone, stride: int = 16) -> TrunkFeatures:
    """`backbone` is taken over, see `Trunk`."""
    return TrunkFeatures(Trunk(backbone, stride=stride))
