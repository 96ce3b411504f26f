"""What heads on a frozen trunk learn from and look at: the folders of `store_maps` stages as steps and datasets."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset

from wsss_lightning.data.base import Record, SegmentationDataModule, Split
from wsss_lightning.data.images import image_size as size_of_image
from wsss_lightning.data.pseudo_masks import with_pseudo_masks
from wsss_lightning.data.samples import Sample
from wsss_lightning.data.steps import StepData
from wsss_lightning.data.stored_maps import (
    Layer,
    MapDataset,
    MapSteps,
    Pooled,
    PooledDataset,
    PooledSteps,
    StoredMaps,
    as_lists,
)
from wsss_lightning.nn.trunk import Trunk, Variant, input_size, variants


def stored_averages(
    data: SegmentationDataModule,
    maps: str,
    val_maps: str | None,
    *,
    mirror: bool,
    batch_size: int,
    seed: int,
    epochs: int | None = None,
    steps: int | None = None,
) -> StepData:
    """What a layer on the averages of a frozen trunk's maps learns from, an image's or its mirror image's.

    `maps`, `val_maps`: folders of `store_maps` stages of the training and the val images; give `epochs` or `steps`.
    """
    names = [variant.name for variant in variants([1.0], mirror=mirror)]
    pooled = Pooled.read(StoredMaps(Path(maps)), data.records("train"), variants=names)
    held_out = None
    if val_maps is not None:
        shown = Pooled.read(StoredMaps(Path(val_maps)), data.records("val"), variants=names[:1])
        held_out = DataLoader(PooledDataset(shown), batch_size=batch_size)
    length = {"epochs": epochs, "steps": steps}
    return StepData(
        steps=lambda parts: PooledSteps(pooled, batch_size=batch_size * parts, seed=seed, **length),
        held_out=held_out,
        seed=seed,
    )


def stored_images(
    data: SegmentationDataModule,
    maps: str,
    val_maps: str | None,
    masks: str | None,
    trunk: Trunk,
    *,
    mirror: bool,
    batch_size: int,
    steps: int,
    seed: int,
    layers: Sequence[Layer] = ("shallow", "deep"),
    val_masks: str | None = None,
) -> StepData:
    """What a head on a frozen `trunk` learns from: stored maps of `layers` and a folder of masks, None for none.

    `val_masks`: a folder of masks made for the val images, for a loss on images that are not trained on.
    """
    names = [variant.name for variant in variants([1.0], mirror=mirror)]

    def shown(split: Split, folder: str, masks: str | None, names: Sequence[str]) -> MapDataset:
        records = data.records(split)
        return MapDataset(
            StoredMaps(Path(folder)),
            records if masks is None else with_pseudo_masks(records, Path(masks), missing="raise"),
            variants=names,
            layers=layers,
            encode=None if masks is None else data.encode,
            image_size=partial(input_size, corners=trunk.corners),
            period=trunk.stride,
            corners=trunk.corners,
            seed=seed,
        )

    images, held_out = shown("train", maps, masks, names), None
    if val_maps is not None:
        held_out = DataLoader(shown("val", val_maps, val_masks, names[:1]), batch_size=batch_size, collate_fn=as_lists)
    return StepData(
        steps=lambda parts: MapSteps(images, batch_size=batch_size * parts, steps=steps, seed=seed),
        held_out=held_out,
        seed=seed,
    )


class DeepMaps(Dataset[Sample]):
    """Images as the deep maps of some variants."""

    def __init__(self, maps: StoredMaps, records: Sequence[Record], variants: Sequence[Variant]) -> None:
        self.maps, self.records, self.variants = maps, records, variants

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Sample:
        record = self.records[index]
        read = self.maps.read(record.image_id, [f"{variant.name}/deep" for variant in self.variants])
        deep = {variant: read[f"{variant.name}/deep"] for variant in self.variants}
        tags = torch.from_numpy(record.tags.copy())
        return {"image_id": record.image_id, "tags": tags, "size": size_of_image(record.image), "deep": deep}
