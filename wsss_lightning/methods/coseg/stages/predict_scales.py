"""Stage: dense predictions at several scales, with or without what tags rule out (coseg secs. 3.3 and 4.2)."""

from collections.abc import Sequence
from pathlib import Path

from wsss_lightning.data.base import SegmentationDataModule, Split
from wsss_lightning.errors import InputError
from wsss_lightning.methods.coseg.segmenter import CosegModule
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
) -> None:
    """`stages.predict.predict` with what a `CosegModule` may be told: the best of the mean of its maps at all `scales`.

    `model`: folder of a `fit_on_masks` or `choose_snapshot` stage; `tagged`: only background and the image's tags are
    possible (eq 2). What `read_probabilities` reads is written with `keep` alone.
    """
    segmenter = load_segmenter(model, data)
    segmenter.scales, segmenter.tagged = tuple(scales), tagged
    write_predictions(
        segmenter,
        data.dataset(split),
        folder=Path(out_dir),
        decode=data.decode,
        keep=keep,
        batch_size=1 if data.size is None else data.batch_size,
        trainer=trainer,
        workers=workers,
        progress=progress,
        description=f"predictions, {split}",
    )


def load_segmenter(folder: str, data: SegmentationDataModule) -> CosegModule:
    """The model of a folder, checked to be of this paper and to fit the data; see `load_fitting`."""
    model = load_fitting(folder, data)
    if not isinstance(model, CosegModule):
        raise InputError(f"{folder} holds a {type(model).__name__}: name the folder of a fit_on_masks stage.")
    return model
