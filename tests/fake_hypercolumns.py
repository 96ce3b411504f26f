"""A backbone of two layers and features as it would give; scenes with stored features and localizers."""

from functools import partial
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

import wsss_lightning
from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.shapes import CLASSES as SHAPES
from wsss_lightning.data.shapes import write_scenes
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.methods.points.mil import global_logits
from wsss_lightning.methods.points.stages.extract import extract
from wsss_lightning.methods.points.stages.features import Stored
from wsss_lightning.methods.points.stages.fit_localizers import fit_localizers
from wsss_lightning.nn.backbones import Backbone, Features
from wsss_lightning.nn.description import described
from wsss_lightning.nn.vgg import TINY_MEAN, TINY_STD, tiny

SHIPPED = Path(wsss_lightning.__file__).parent / "nn" / "weights" / "tiny.safetensors"
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


def scenes(folder: Path, *, train: int = 16, val: int = 3) -> SegmentationDataModule:
    """Generated scenes of three classes, for `tiny`."""
    write_scenes(folder, train=train, val=val, size=96, seed=0, processes=1, progress=False)
    return opened(folder)


def opened(folder: Path) -> SegmentationDataModule:
    """Scenes that are written."""
    return VOCDataModule(
        root=folder,
        names=SHAPES,
        classes=("check_brick", "ring_brick", "ray_tent"),
        train_list="train",
        size=(96, 96),
        mean=TINY_MEAN,
        std=TINY_STD,
        batch_size=4,
    )


def stored(folder: Path, data: SegmentationDataModule) -> str:
    """The folder of an `extract` stage, features of the shipped `tiny`."""
    extract(
        out_dir=str(folder),
        data=data,
        backbone=tiny(str(SHIPPED), 20),
        splits=["train", "val"],
        grid_stride=4,
        global_features=True,
        half=True,
        trainer=trainer,
        workers=0,
        progress=False,
    )
    return str(folder)


def localized(folder: Path, data: SegmentationDataModule, features: Stored) -> dict[str, float]:
    """A `fit_localizers` stage of few units."""
    return fit_localizers(
        out_dir=str(folder),
        data=data,
        features=features,
        statistics=features,
        pooling=global_logits,
        global_features=False,
        hidden=8,
        rates=[1e-3, 1e-4],
        epochs=[1, 1],
        standardise=True,
        seed=0,
        trainer=trainer,
        loggers={},
        workers=0,
        checkpoint_every=100,
        progress=False,
    )
