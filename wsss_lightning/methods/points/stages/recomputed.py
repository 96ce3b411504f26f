"""Hypercolumns that are not stored: 100 times less disk, for a pass of the backbone whenever an image is read."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from wsss_lightning import models
from wsss_lightning.data.base import SegmentationDataModule, Split
from wsss_lightning.data.samples import SegmentationDataset
from wsss_lightning.methods.points.hypercolumn_module import HypercolumnModule
from wsss_lightning.methods.points.stages.features import FeatureStore
from wsss_lightning.nn.backbones import Features
from wsss_lightning.nn.precision import to_float16
from wsss_lightning.stages.io import read_tensors


@dataclass(frozen=True)
class RecomputedFeatures(FeatureStore):
    """A store whose maps the backbone computes whenever they are read, on the processor, one image at a time.

    `folder`, of an `extract` stage with `stored=False`, has the backbone, the statistics and the global vectors.
    """

    data: SegmentationDataModule
    half: bool

    @torch.inference_mode()
    def read_stored(self, split: str, image_id: str) -> Features:
        """One image's features (N = 1), as `FeatureStore` would have stored them."""
        images, places = self._images[split]
        computed = self._model.extracted(images[places[image_id]]["image"][None])
        maps = [to_float16(m, what=f"A feature of {image_id}") if self.half else m for m in computed.maps]
        pooled = read_tensors(self.path(split, image_id))["pooled"]
        return Features(maps=maps, pooled=pooled, corners=computed.corners)

    @cached_property
    def _model(self) -> HypercolumnModule:
        model = models.load(str(self.folder))
        assert isinstance(model, HypercolumnModule)
        return model.eval()

    @cached_property
    def _images(self) -> dict[str, tuple[SegmentationDataset, dict[str, int]]]:
        splits: list[Split] = [split for split in self.data.lists if (self.folder / split).is_dir()]
        sets = {split: self.data.dataset(split) for split in splits}
        return {
            split: (images, {record.image_id: place for place, record in enumerate(images.records)})
            for split, images in sets.items()
        }


def open_recomputed(*, folder: str, data: SegmentationDataModule, half: bool) -> RecomputedFeatures:
    """Hypercolumns of an `extract` stage that left the maps out; `half` as there."""
    return RecomputedFeatures(Path(folder), data, half)
