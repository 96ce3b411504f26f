"""Stage: dense predictions at several scales, with or without what tags rule out (coseg secs. 3.3 and 4.2)."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch.utils.data import Dataset

from wsss_lightning.data.base import Record, SegmentationDataModule, Split
from wsss_lightning.data.images import image_size
from wsss_lightning.data.samples import Sample, collate
from wsss_lightning.data.stored_maps import StoredMaps, as_lists
from wsss_lightning.errors import InputError
from wsss_lightning.methods.coseg.segmenter import CosegModule
from wsss_lightning.nn.trunk import Variant
from wsss_lightning.stages.fit import MakeTrainer
from wsss_lightning.stages.predict import load_fitting, write_predictions


def predict_scales(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    model: str,
    split: Split,
    scales: Sequence[float],
    tagged: bool,
    keep: bool,
    trainer: MakeTrainer,
    workers: int,
    progress: bool,
    maps: str | None = None,
) -> None:
    """`stages.predict.predict` with what a `CosegModule` may be told: the best of the mean of its maps at all `scales`.

    `model`: folder of a `fit_on_masks` or `choose_snapshot` stage; `tagged`: only background and the image's tags are
    possible (eq 2); `maps`: folder of a `store_maps` stage of the images, which a `FrozenCosegModule` looks at in their
    place. What `read_probabilities` reads is written with `keep` alone.
    """
    segmenter = load_segmenter(model, data)
    segmenter.scales, segmenter.tagged = tuple(scales), tagged
    write_predictions(
        segmenter,
        data.dataset(split) if maps is None else _Stored(StoredMaps(Path(maps)), data.records(split), segmenter.scales),
        folder=Path(out_dir),
        decode=data.decode,
        keep=keep,
        batch_size=data.inference_batch_size,
        trainer=trainer,
        workers=workers,
        progress=progress,
        description=f"predictions, {split}",
        together=collate if maps is None else as_lists,
    )


class _Stored(Dataset[Sample]):
    """Images as their shallow map and the deep ones of some scales."""

    def __init__(self, maps: StoredMaps, records: Sequence[Record], scales: Sequence[float]) -> None:
        self.maps, self.records = maps, list(records)
        self.variants = [Variant(float(scale)) for scale in scales]

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Sample:
        record, shallow = self.records[index], f"{Variant().name}/shallow"
        read = self.maps.read(record.image_id, [shallow, *(f"{variant.name}/deep" for variant in self.variants)])
        deep = {variant: read[f"{variant.name}/deep"].float() for variant in self.variants}
        tags = torch.from_numpy(record.tags.copy())
        sample: Sample = {"image_id": record.image_id, "tags": tags, "size": image_size(record.image)}
        return sample | {"shallow": read[shallow].float(), "deep": deep}


def load_segmenter(folder: str, data: SegmentationDataModule) -> CosegModule:
    """The model of a folder, checked to be of this paper and to fit the data; see `load_fitting`."""
    model = load_fitting(folder, data)
    if not isinstance(model, CosegModule):
        raise InputError(f"{folder} holds a {type(model).__name__}: name the folder of a fit_on_masks stage.")
    return model
