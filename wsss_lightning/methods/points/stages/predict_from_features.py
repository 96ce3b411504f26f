"""Stage: dense predictions of the point classifier from stored hypercolumns."""

from pathlib import Path

from wsss_lightning.data.base import SegmentationDataModule, Split
from wsss_lightning.methods.points.stages.features import Stored, StoredImages, opened
from wsss_lightning.stages.fit import MakeTrainer
from wsss_lightning.stages.predict import load_fitting, write_predictions


def predict_from_features(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    features: Stored,
    model: str,
    split: Split,
    trainer: MakeTrainer,
    workers: int,
    progress: bool,
) -> None:
    """`stages.predict.predict` of the images of `split`, whose `features` are not computed again; tags are not used.

    The logits are kept at the grid's resolution in float16, which is what the labels are made of.
    """
    store, network = opened(features), load_fitting(model, data)
    network.grid = store.grid()  # type: ignore[assignment]
    write_predictions(
        network,
        StoredImages(store, split, data.records(split)),
        folder=Path(out_dir),
        decode=data.decode,
        keep=True,
        batch_size=data.inference_batch_size,
        trainer=trainer,
        workers=workers,
        progress=progress,
        description=f"predictions, {split}",
    )
