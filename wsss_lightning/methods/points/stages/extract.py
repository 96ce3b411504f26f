"""Stage: hypercolumns of every image by one pass of the backbone (points sec. 4.1)."""

from collections.abc import Sequence
from pathlib import Path

from wsss_lightning import models
from wsss_lightning.data.base import SegmentationDataModule, Split
from wsss_lightning.errors import InputError
from wsss_lightning.methods.points.hypercolumn_module import HypercolumnModule
from wsss_lightning.methods.points.stages.features import FeatureStore
from wsss_lightning.nn.backbones import Backbone, Features, check_statistics
from wsss_lightning.nn.hypercolumns import Size
from wsss_lightning.stages.fit import MakeTrainer, inputs_of
from wsss_lightning.stages.predict import infer, without


def extract(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    backbone: Backbone,
    splits: Sequence[Split],
    grid_stride: int,
    global_features: bool,
    half: bool,
    trainer: MakeTrainer,
    workers: int,
    progress: bool,
    compress: bool = False,
    stored: bool = True,
) -> dict[str, float]:
    """Store the maps of all layers, the global vector and, where `splits` hold train, the statistics of its images.

    The folder is that of the `HypercolumnModule`, too: whoever reads the features knows what they are of.
    `grid_stride`: input pixels per grid cell (paper: 4); `half`: store float16, refused where a value exceeds it;
    `compress`: leave zeros out, which loses nothing; `stored=False`: leave the maps out, see `open_recomputed`.

    Raises:
        InputError: `compress` without `half`.
    """
    if compress and not half:
        raise InputError("compress=true is of half precision: set points.half=true.")
    check_statistics(backbone, data.mean, data.std)
    store, grid = FeatureStore(Path(out_dir)), _grid(data, grid_stride)
    model = HypercolumnModule(backbone=backbone, grid=grid, global_features=global_features)

    def write(image: tuple[str, Features]) -> None:
        store.write(split, *image, grid, half=half, compress=compress, stored=stored)

    for split in splits:
        images = data.dataset(split)
        infer(
            model,
            without(images, [store.path(split, record.image_id) for record in images.records]),
            write=write,
            batch_size=data.batch_size,
            trainer=trainer,
            workers=workers,
            progress=progress,
            description=f"hypercolumns, {split}",
        )
    if model.global_rank == 0:
        models.save(model, store.folder, inputs=inputs_of(data))
        store.write_grid(grid)
        if "train" in splits:
            store.write_statistics("train", [record.image_id for record in data.records("train")])
    return {"images": float(sum(len(data.records(split)) for split in splits))}


def _grid(data: SegmentationDataModule, stride: int) -> Size:
    if data.size is None or isinstance(data.size, int):
        raise InputError("hypercolumns share one grid: give the data a size=[H, W].")
    return data.size[0] // stride, data.size[1] // stride
