"""Stage: what turns stored maps of a frozen trunk into hypercolumns (points sec. 4.1)."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from torch import Tensor

from wsss_lightning import models
from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.methods.points.hypercolumn_module import HypercolumnModule
from wsss_lightning.methods.points.stages.features import MapFeatures, open_maps
from wsss_lightning.nn.backbones import Backbone, check_statistics
from wsss_lightning.nn.bilinear import Bilinear
from wsss_lightning.nn.hypercolumns import Size
from wsss_lightning.nn.trunk_features import trunk_features
from wsss_lightning.parallel import in_parallel
from wsss_lightning.stages.fit import inputs_of


def describe_maps(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    backbone: Backbone,
    maps: str,
    stride: int,
    grid: Sequence[int],
    global_features: bool,
    workers: int,
    progress: bool,
) -> None:
    """Write the grid, mean and deviation of every feature over it, and the model that makes the features of images.

    The features themselves stay where they are; `stages.features.open_maps` reads them.

    Args:
        maps: folder of the `store_maps` stage of the training images.
        stride: that it was made with.
        grid: height and width at which all images' maps are seen, whatever their size (paper: 64 x 84).
    """
    check_statistics(backbone, data.mean, data.std)
    store, size = open_maps(folder=out_dir, train=maps), (grid[0], grid[1])
    features = trunk_features(backbone=backbone, stride=stride)
    store.write_grid(size)
    store.write_corners(features.corners)
    images = [record.image_id for record in data.records("train")]
    work = partial(_moments, store=store, grid=size)
    store.write_moments(
        in_parallel(work, images, processes=workers, description="statistics of maps", progress=progress)
    )
    model = HypercolumnModule(backbone=features, grid=size, global_features=global_features)
    models.save(model, Path(out_dir), inputs=inputs_of(data))


def _moments(image_id: str, *, store: MapFeatures, grid: Size) -> tuple[Tensor, Tensor, Tensor]:
    features = store.read_stored("train", image_id)
    whole = features.maps[0][0]
    way = Bilinear((whole.shape[1], whole.shape[2]), grid, corners=features.corners)
    return (*way.moments(whole), features.pooled)
