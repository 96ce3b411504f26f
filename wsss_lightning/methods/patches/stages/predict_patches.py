"""Stage: how probable the class is at every pixel, from the patch around it (patches sec. 3.3)."""

from dataclasses import replace
from pathlib import Path

from wsss_lightning.data.base import SegmentationDataModule, Split
from wsss_lightning.methods.patches.stages.fit_patches import read_patch_module
from wsss_lightning.stages.fit import MakeTrainer
from wsss_lightning.stages.predict import write_predictions


def predict_patches(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    model: str,
    split: Split,
    side: int | None,
    trainer: MakeTrainer,
    workers: int,
    progress: bool,
) -> None:
    """Write p(c = 1) of every pixel of the images of `split`, for `stages.predict.read_probabilities`.

    Tags are not used. `model`: folder of a `fit_patches` stage; `side`: px of the shorter side that the network sees
    an image with, None for the image's own size.
    """
    images = replace(data, size=side)
    write_predictions(
        read_patch_module(model),
        images.dataset(split),
        folder=Path(out_dir),
        decode=None,
        keep=True,
        batch_size=images.inference_batch_size,
        trainer=trainer,
        workers=workers,
        progress=progress,
        description=f"probabilities, {split}",
    )
