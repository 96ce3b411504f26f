"""Stage: maps of a frozen trunk, so that heads are trained and applied without it."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from wsss_lightning.data.base import Record, SegmentationDataModule, Split
from wsss_lightning.data.images import image_size
from wsss_lightning.data.stored_maps import StoredMaps, pack_maps
from wsss_lightning.nn.backbones import Backbone, check_statistics
from wsss_lightning.nn.trunk import Trunk, Variant, variants
from wsss_lightning.stages.fit import MakeTrainer
from wsss_lightning.stages.io import write_tensors
from wsss_lightning.stages.predict import infer, without

log = logging.getLogger(__name__)

Layers = Mapping[str, Sequence[float]]


def store_maps(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    backbone: Backbone,
    split: Split,
    stride: int,
    layers: Layers,
    mirror: bool,
    trainer: MakeTrainer,
    workers: int,
    progress: bool,
) -> dict[str, float]:
    """Write `<image_id>.safetensors` of the images of `split`, which `data.stored_maps.StoredMaps` reads.

    In half precision, zeros left out where that pays; how many bytes that is at most is logged before it starts.
    Images that are there are skipped. `gigabytes`: of all files.

    Args:
        layers: `shallow` and `deep`, the maps of the last two blocks, and the scales that each is kept at.
        mirror: keep those of the mirror images, too.
    """
    check_statistics(backbone, data.mean, data.std)
    trunk, maps, records = Trunk(backbone, stride=stride), StoredMaps(Path(out_dir)), data.records(split)
    _announce(records, trunk, layers, mirror=mirror, split=split)
    infer(
        MapsModule(trunk=trunk, layers=layers, mirror=mirror),
        without(data.dataset(split), [maps.path(record.image_id) for record in records]),
        write=partial(_write, maps),
        batch_size=data.inference_batch_size,
        trainer=trainer,
        workers=workers,
        progress=progress,
        description=f"maps, {split}",
    )
    written = sum(maps.path(record.image_id).stat().st_size for record in records)
    return {"gigabytes": written / 1e9, "megabytes_per_image": written / 1e6 / len(records)}


class MapsModule(pl.LightningModule):
    """Looks at images in all variants; `predict_step` gives what is stored of each."""

    def __init__(self, *, trunk: Trunk, layers: Layers, mirror: bool) -> None:
        super().__init__()
        self.trunk, self.layers, self.mirror = trunk, {name: list(map(float, s)) for name, s in layers.items()}, mirror

    def predict_step(self, batch: dict[str, Any], _: int) -> list[tuple[str, dict[str, Tensor]]]:
        files: list[dict[str, Tensor]] = [{} for _ in batch["image_id"]]
        shown = variants(sorted({s for scales in self.layers.values() for s in scales}), mirror=self.mirror)
        for variant, (shallow, deep) in self.trunk.looks(batch["image"], shown):
            for file, own in zip(files, self._kept(variant, {"shallow": shallow, "deep": deep}), strict=True):
                file |= own
        return list(zip(batch["image_id"], files, strict=True))

    def _kept(self, variant: Variant, levels: dict[str, Tensor]) -> list[dict[str, Tensor]]:
        kept = {name: levels[name].float() for name, scales in self.layers.items() if variant.scale in scales}
        pooled = levels["deep"].float().mean(dim=(2, 3))
        return [
            {f"{variant.name}/{name}": maps[index] for name, maps in kept.items()}
            | {f"{variant.name}/pooled": pooled[index]}
            for index in range(len(pooled))
        ]


def _write(maps: StoredMaps, item: tuple[str, dict[str, Tensor]]) -> None:
    image_id, tensors = item
    packed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        packed |= {name: tensor} if name.endswith("pooled") else pack_maps(name, tensor)
    write_tensors(maps.path(image_id), packed)


def _announce(records: Sequence[Record], trunk: Trunk, layers: Layers, *, mirror: bool, split: Split) -> None:
    channels = dict(zip(("shallow", "deep"), trunk.channels, strict=True))
    total = 0
    for size in (image_size(record.image) for record in records):
        for name, scales in layers.items():
            cells = [trunk.grid(size, scale) for scale in scales]
            total += sum(2 * channels[name] * h * w * (1 + mirror) for h, w in cells)
    log.info(
        "maps of %s: at most %.2f MB an image, %.1f GB in all, before zeros are left out",
        *(split, total / 1e6 / max(len(records), 1), total / 1e9),
    )
