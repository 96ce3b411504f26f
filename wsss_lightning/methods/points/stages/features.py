"""The store of hypercolumns: one file per image with the maps of all layers, one per size, none finer than the grid."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from wsss_lightning import models
from wsss_lightning.data.images import image_size
from wsss_lightning.data.samples import Record, Sample
from wsss_lightning.data.stored_maps import StoredMaps, pack_maps, unpack_maps
from wsss_lightning.methods.points.hypercolumn_module import HypercolumnModule
from wsss_lightning.nn.backbones import Backbone, Features
from wsss_lightning.nn.hypercolumns import Size, channel_parts, compact
from wsss_lightning.nn.precision import to_float16
from wsss_lightning.ops.resize import resize_maps
from wsss_lightning.stages.io import read_tensors, write_json, write_tensors


@dataclass(frozen=True)
class FeatureStore:
    """Hypercolumns on disk, below `folder`, as `<split>/<image_id>.safetensors`, and their statistics."""

    folder: Path

    def path(self, split: str, image_id: str) -> Path:
        """Where one image's features lie."""
        return self.folder / split / f"{image_id}.safetensors"

    def write(
        self,
        split: str,
        image_id: str,
        features: Features,
        grid: Size,
        *,
        half: bool,
        compress: bool = False,
        stored: bool = True,
    ) -> None:
        """Store one image (N = 1) with the sums over the grid from which mean and variance follow.

        `compress`: leave zeros of half-precision maps out; `stored=False`: leave the maps out.
        """
        maps = compact(features.maps, grid)
        kept = [to_float16(m, what=f"A feature of {image_id}") if half else m for m in maps]
        # What is read later are the stored values, so the statistics are theirs.
        tensors: dict[str, Tensor] = {}
        for index, values in enumerate(kept if stored else ()):
            name = f"map{index:02d}"
            tensors |= pack_maps(name, values) if compress else {name: values}
        write_tensors(self.path(split, image_id), tensors | _sums(kept, grid) | {"pooled": features.pooled})

    def read(self, split: str, image_id: str) -> Features:
        """One image's features (N = 1) as float32."""
        stored = self.read_stored(split, image_id)
        # Channels last: on a CPU, resizing and multiplying many channels is several times faster in this layout.
        maps = [m.to(torch.float32, memory_format=torch.channels_last) for m in stored.maps]
        return Features(maps=maps, pooled=stored.pooled, corners=stored.corners)

    def read_stored(self, split: str, image_id: str) -> Features:
        """One image's features (N = 1) in the precision in which they are stored."""
        tensors = read_tensors(self.path(split, image_id))
        names = sorted({name.partition("/")[0] for name in tensors if name.startswith("map")})
        maps = [unpack_maps(name, tensors.__getitem__, list(tensors)) for name in names]
        return Features(maps=maps, pooled=tensors["pooled"])

    def write_grid(self, grid: Size) -> None:
        """Store height and width of the grid, which all images share."""
        write_json(self.folder / "grid.json", list(grid))

    def grid(self) -> Size:
        """Height and width of the grid."""
        height, width = json.loads((self.folder / "grid.json").read_text())
        return height, width

    def write_statistics(self, split: str, image_ids: list[str]) -> None:
        """Mean and standard deviation (D,) of every feature over all locations of `split`, in float64."""
        parts = (read_tensors(self.path(split, image_id)) for image_id in image_ids)
        self.write_moments((part["sum"], part["squares"], part["pooled"]) for part in parts)

    def write_moments(self, parts: Iterable[tuple[Tensor, Tensor, Tensor]]) -> None:
        """The same from what each image adds: sums of features and of their squares over the grid, global vector."""
        total, squares = torch.zeros(2, 1).double()
        height, width = self.grid()
        pooled = []
        for own, own_squares, own_pooled in parts:
            total, squares = total + own, squares + own_squares
            pooled.append(own_pooled.double())
        mean, std = _moments(total, squares, len(pooled) * height * width)
        every = torch.cat(pooled)
        global_mean, global_std = _moments(every.sum(dim=0), every.square().sum(dim=0), len(every))
        moments = {"mean": mean, "std": std, "global_mean": global_mean, "global_std": global_std}
        write_tensors(self.folder / "statistics.safetensors", moments)

    def statistics(self, *, with_global: bool = False) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (D,), or (D + G,) with those of the global vector behind them, float64."""
        tensors = read_tensors(self.folder / "statistics.safetensors")
        if not with_global:
            return tensors["mean"], tensors["std"]
        return torch.cat([tensors["mean"], tensors["global_mean"]]), torch.cat([tensors["std"], tensors["global_std"]])

    def global_statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (G,) of the global vector over the images, float64."""
        tensors = read_tensors(self.folder / "statistics.safetensors")
        return tensors["global_mean"], tensors["global_std"]

    def backbone(self) -> Backbone:
        """What the features are of."""
        return read_backbone(model=str(self.folder))


@dataclass(frozen=True)
class MapFeatures(FeatureStore):
    """Hypercolumns that are stored maps of a frozen trunk; `folder`, of a `describe_maps` stage, has the rest."""

    maps: Mapping[str, StoredMaps]

    def read_stored(self, split: str, image_id: str) -> Features:
        """One image's features (N = 1), half precision but for the global vector."""
        read = self.maps[split].read(image_id, MAPS)
        shallow, deep, pooled = (read[name] for name in MAPS)
        return Features(maps=[torch.cat([shallow, deep])[None]], pooled=pooled[None], corners=self.corners())

    def write_corners(self, corners: bool) -> None:
        """Store how the maps' cells lie, see `nn.bilinear`."""
        write_json(self.folder / "corners.json", corners)

    def corners(self) -> bool:
        """See `write_corners`."""
        return bool(json.loads((self.folder / "corners.json").read_text()))


MAPS = ("1/shallow", "1/deep", "1/pooled")  # of the images as they are
Stored = FeatureStore | Path | str


def open_maps(*, folder: str, train: str | None = None, val: str | None = None, test: str | None = None) -> MapFeatures:
    """Hypercolumns of a `describe_maps` stage and of `store_maps` stages of the splits that are read."""
    given = {"train": train, "val": val, "test": test}
    return MapFeatures(Path(folder), {split: StoredMaps(Path(maps)) for split, maps in given.items() if maps})


def opened(features: Stored) -> FeatureStore:
    """The store behind what a stage is given: the folder of an `extract` stage, or what `open_maps` returns."""
    return features if isinstance(features, FeatureStore) else FeatureStore(Path(features))


def read_backbone(*, model: str) -> Backbone:
    """The backbone of an `extract` stage or of any model of this paper, with the RGB statistics that go with it."""
    owner, inputs = models.load(model), models.read_inputs(model)
    assert isinstance(owner, HypercolumnModule)
    owner.backbone.mean, owner.backbone.std = tuple(inputs.mean), tuple(inputs.std)
    return owner.backbone


class StoredImages(Dataset[Sample]):
    """Stored features of images, each in the precision that it is stored in: `maps`, `pooled`, `tags`, `size`.

    Args:
        store: of the features.
        split: of the images.
        records: the images, in order.
        present: (N, C) bool, classes that localizers shall score; None leaves that open.
    """

    def __init__(
        self, store: FeatureStore, split: str, records: Sequence[Record], *, present: NDArray[np.bool_] | None = None
    ) -> None:
        self.store, self.split, self.records, self.present = store, split, records, present

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Sample:
        record = self.records[index]
        stored = self.store.read_stored(self.split, record.image_id)
        sample = {
            "maps": [each[0] for each in stored.maps],
            "pooled": stored.pooled[0],
            "tags": torch.from_numpy(record.tags.copy()),
            "image_id": record.image_id,
            "size": torch.tensor(image_size(record.image)),
        }
        return sample if self.present is None else sample | {"present": torch.from_numpy(self.present[index])}


def _sums(maps: Sequence[Tensor], grid: Size) -> dict[str, Tensor]:
    """Sums of every feature and of its square over the grid, (D,) float64."""
    columns = (resize_maps(part, grid)[0].flatten(1).double() for m in maps for part in channel_parts(m, grid))
    pairs = [(part.sum(dim=1), part.square().sum(dim=1)) for part in columns]
    return {name: torch.cat(values) for name, values in zip(("sum", "squares"), zip(*pairs, strict=True), strict=True)}


def _moments(total: Tensor, squares: Tensor, count: int) -> tuple[Tensor, Tensor]:
    mean = total / count
    return mean, (squares / count - mean.square()).clamp_min(0).sqrt()
