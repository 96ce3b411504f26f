"""Which activations of a classifier are looked at: the fusion's two (priors sec. 3.1.1) and Figure 3's five."""

from typing import Any, NamedTuple

import pytorch_lightning as pl
from torch import Tensor

from wsss_lightning.errors import InputError
from wsss_lightning.nn.backbones import Backbone


def fusion_maps(backbone: Backbone, images: Tensor, *, convolution: int) -> tuple[Tensor, Tensor]:
    """Activations of the fourth and fifth block, after ReLU and before the pool, as `priors.fuse` takes them.

    Args:
        backbone: a VGG, or another one, whose last two stages these are.
        images: normalised, (N, 3, H, W).
        convolution: which of a block, from 0; -1 is the last, which the paper does not say but draws as complete
            objects. In a ResNet it counts residual units; of timm's networks there is one of each.

    Returns:
        (N, K, h, w) and (N, K', h', w'): 1/8 and 1/16 of the input in a VGG, 1/16 and 1/32 in a ResNet.

    Raises:
        InputError: a block has no such convolution.
    """
    fourth, fifth = backbone.blocks(images)[-2:]
    fewest = min(len(fourth), len(fifth))
    if not -fewest <= convolution < fewest:
        raise InputError(f"Blocks 4 and 5 have no convolution {convolution}: choose from {-fewest} to {fewest - 1}.")
    return fourth[convolution], fifth[convolution]


def layer_activations(backbone: Backbone, images: Tensor) -> list[Tensor]:
    """The last activations of each of the five blocks, shallow to deep (Figure 3)."""
    return [block[-1] for block in backbone.blocks(images)]


class BlockMeans(NamedTuple):
    """Of one image: the mean over channels of blocks 4 and 5, `conv4` (1, h, w) and `conv5` (1, h', w')."""

    image_id: str
    means: dict[str, Tensor]


class ActivationModule(pl.LightningModule):
    """Looks at a classifier as it is; nothing is trained. `convolution`: see `fusion_maps`."""

    def __init__(self, *, backbone: Backbone, convolution: int) -> None:
        super().__init__()
        self.backbone, self.convolution = backbone, convolution

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See `fusion_maps`."""
        return fusion_maps(self.backbone, images, convolution=self.convolution)

    def predict_step(self, batch: dict[str, Any], _: int) -> list[BlockMeans]:
        """What `priors.fuse` needs of each image; tags are not used."""
        fourth, fifth = (maps.mean(dim=1, keepdim=True).float() for maps in self(batch["image"]))
        columns = zip(batch["image_id"], fourth, fifth, strict=True)
        return [BlockMeans(name, {"conv4": four, "conv5": five}) for name, four, five in columns]
