"""Stage: the point classifier (points sec. 3.3 and 4.1)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pytorch_lightning.loggers import Logger

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.methods.points.classifier import PointClassifierModule
from wsss_lightning.methods.points.stages.features import Stored, opened
from wsss_lightning.methods.points.stages.point_data import PointBank, PointData
from wsss_lightning.nn.hypercolumns import Standardisation
from wsss_lightning.nn.optimisation import MakeOptimizer, Scheduler
from wsss_lightning.stages.fit import Callbacks, MakeTrainer, fit, inputs_of
from wsss_lightning.stages.records import tagged

LOGS = {"train/loss": None}  # see `pipeline.training`


def fit_classifier(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    features: Stored,
    points: Sequence[str],
    hidden: int,
    rate: float,
    steps: int | None,
    epochs: int,
    batch_size: int,
    standardise: bool,
    global_features: bool,
    seed: int,
    trainer: MakeTrainer,
    loggers: Mapping[str, Logger],
    workers: int,
    checkpoint_every: int,
    progress: bool,
    callbacks: Callbacks = None,
    optimizer: MakeOptimizer | None = None,
    scheduler: Scheduler | None = None,
    standardise_global: bool = False,
) -> dict[str, float]:
    """Train the classifier on batches of `batch_size` points for `steps` steps, or `epochs` epochs if that is null.

    A fixed number of steps gives every sampling the same budget, however many points it has. `points`: folders of
    stored points; an image of several of them is read from the last, so that later points replace earlier ones.
    `standardise_global`: the global vector, too; the paper's classifier sees both as they are.
    """
    store = opened(features)
    known = Standardisation(*store.global_statistics()) if standardise_global and global_features else None
    bank = PointBank.read(
        [Path(folder) for folder in points],
        global_features=global_features,
        image_ids=[record.image_id for record in tagged(data)],
    )
    model = PointClassifierModule(
        class_names=data.class_names,
        backbone=store.backbone(),
        grid=store.grid(),
        statistics=Standardisation(*store.statistics(), enabled=standardise),
        global_features=global_features,
        hidden=hidden,
        rate=rate,
        seed=seed,
        optimizer=optimizer,
        scheduler=scheduler,
        global_statistics=known,
    )
    return fit(
        out_dir=Path(out_dir),
        model=model,
        data=PointData(bank, batch_size=batch_size, steps=steps, epochs=epochs, seed=seed, workers=workers),
        inputs=inputs_of(data),
        trainer=trainer,
        callbacks=callbacks,
        loggers=loggers,
        checkpoint_every=checkpoint_every,
        progress=progress,
        description="point classifier",
    )
