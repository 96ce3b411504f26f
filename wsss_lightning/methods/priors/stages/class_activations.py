"""Stage: class activation maps of the classes that an image's tags name (priors eq 1)."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from torch.utils.data import Dataset

from wsss_lightning.data.base import SegmentationDataModule, Split
from wsss_lightning.data.samples import Sample, Size, collate
from wsss_lightning.data.stored_maps import StoredMaps, as_lists
from wsss_lightning.methods.priors.localization import LocalizationModule
from wsss_lightning.methods.priors.stages.fit_localization import require_trunk
from wsss_lightning.models import read_inputs
from wsss_lightning.ops.resize import resize_maps
from wsss_lightning.stages.empty import report_empty
from wsss_lightning.stages.fit import MakeTrainer
from wsss_lightning.stages.io import read_tensors, write_tensors
from wsss_lightning.stages.predict import infer, load_fitting, without
from wsss_lightning.stages.stored_steps import DeepMaps


def class_activations(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    model: str,
    split: Split,
    trainer: MakeTrainer,
    workers: int,
    progress: bool,
    batch_size: int = 1,
    maps: str | None = None,
) -> dict[str, float]:
    """Store M_c at the network's resolution: `cams/<image_id>.safetensors`, `cams` (T, h, w) and `present` (T,).

    `present` are the tags' labels 1..C, ascending; `model`: folder of a `fit_localization` stage, whose network sees
    each whole image at the size that it was trained with, `batch_size` at a time; or of a frozen trunk the `maps` that
    a `store_maps` stage left. `<split>/empty`: the share of maps that are positive nowhere.
    """
    module, records = cast(LocalizationModule, load_fitting(model, data)), data.records(split)
    folder = Path(out_dir) / "cams"
    paths = [folder / f"{record.image_id}.safetensors" for record in records]
    images: Dataset[Sample] = replace(data, size=trained_size(model)).dataset(split)
    if maps is not None:
        images = DeepMaps(StoredMaps(Path(maps)), records, require_trunk(module.network).variants)
    infer(
        module,
        without(images, paths),
        write=lambda image: write_tensors(folder / f"{image.image_id}.safetensors", image.stored),
        batch_size=batch_size,
        trainer=trainer,
        workers=workers,
        progress=progress,
        description=f"class activations, {split}",
        together=collate if maps is None else as_lists,
    )
    positive = torch.cat([(read_tensors(path)["cams"] > 0).any(dim=2).any(dim=1) for path in paths])
    empty = int((~positive).sum())
    return {f"{split}/empty": report_empty(empty, len(positive), what=f"class activation maps of {split}")}


def trained_size(model: str) -> Size:
    """The size of the images that a model was trained with, see `SegmentationDataModule`."""
    size = read_inputs(model).size
    return (size[0], size[1]) if isinstance(size, Sequence) else size


def read_class_activations(folder: Path, image_id: str, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Maps of one image at `size`, (T, H, W) in any range, and their labels (T,)."""
    stored = read_tensors(folder / "cams" / f"{image_id}.safetensors")
    return resize_maps(stored["cams"][None].float(), size)[0], stored["present"]
