"""Stage: class activation maps of the classes that an image's tags name (priors eq 1)."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import Tensor

from wsss_lightning.data.base import SegmentationDataModule, Split
from wsss_lightning.data.samples import Size
from wsss_lightning.models import read_inputs
from wsss_lightning.nn.prediction import Prediction
from wsss_lightning.ops.resize import resize_maps
from wsss_lightning.stages.fit import MakeTrainer
from wsss_lightning.stages.io import read_tensors, write_tensors
from wsss_lightning.stages.predict import infer, load_fitting, without


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
) -> None:
    """Store M_c at the network's resolution: `cams/<image_id>.safetensors`, `cams` (T, h, w) and `present` (T,).

    `present` are the tags' labels 1..C, ascending; `model`: folder of a `fit_localization` stage, whose network sees
    each whole image at the size that it was trained with, `batch_size` at a time.
    """
    images = replace(data, size=input_size(model)).dataset(split)
    folder = Path(out_dir) / "cams"
    infer(
        load_fitting(model, data),
        without(images, [folder / f"{record.image_id}.safetensors" for record in images.records]),
        write=partial(_write, folder=folder),
        batch_size=batch_size,
        trainer=trainer,
        workers=workers,
        progress=progress,
        description=f"class activations, {split}",
    )


def input_size(model: str) -> Size:
    """The size of the images that a model was trained with, see `SegmentationDataModule`."""
    size = read_inputs(model).size
    return (size[0], size[1]) if isinstance(size, Sequence) else size


def read_class_activations(folder: Path, image_id: str, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Maps of one image at `size`, (T, H, W) in any range, and their labels (T,)."""
    stored = read_tensors(folder / "cams" / f"{image_id}.safetensors")
    return resize_maps(stored["cams"][None], size)[0], stored["present"]


def _write(prediction: Prediction, *, folder: Path) -> None:
    write_tensors(folder / f"{prediction.image_id}.safetensors", prediction.stored)
