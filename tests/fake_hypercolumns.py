"""A backbone of two layers, random features as it would give, and modules on them."""

from functools import partial

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from wsss_lightning.nn.backbones import Backbone, Features
from wsss_lightning.nn.description import described

GRID = (6, 8)
CLASSES = ("cat", "dog", "bird")
trainer = partial(pl.Trainer, accelerator="cpu", devices=1, logger=False, enable_progress_bar=False)


class TwoLayers(Backbone):
    """Maps of 5 channels at a quarter of the input and of 4 at an eighth; 3 global features."""

    channels = (5, 4)
    global_size = 3

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 5, 4, stride=4), nn.Conv2d(5, 4, 2, stride=2)

    def features(self, images: Tensor, *, with_global: bool = True) -> Features:
        first = torch.relu(self.first(images))
        second = torch.relu(self.second(first))
        pooled = second.mean(dim=(2, 3))[:, :3] if with_global else images.new_zeros(len(images), 0)
        return Features(maps=[first, second], pooled=pooled)


@described
def two_layers() -> TwoLayers:
    """Random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return TwoLayers()


def features(seed: int, images: int = 1) -> Features:
    """What the backbone could give of `images` images."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [(5, *GRID), (4, 3, 4), (3,)]
    first, second, pooled = (torch.randn(images, *size, generator=generator) for size in sizes)
    return Features(maps=[first, second], pooled=pooled)


def pictures(count: int, seed: int = 0) -> Tensor:
    """Normalised images (N, 3, 24, 32), whose grid is `GRID`."""
    return torch.randn(count, 3, 24, 32, generator=torch.Generator().manual_seed(seed))
