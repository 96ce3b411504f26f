"""Stage: per-class localizers from tags (points sec. 3.1 and 4.1)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pytorch_lightning.loggers import Logger

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.methods.points.localizer_module import LocalizerModule
from wsss_lightning.methods.points.localizers import Pooling
from wsss_lightning.methods.points.stages.class_shares import share_classes
from wsss_lightning.methods.points.stages.features import Stored, opened
from wsss_lightning.methods.points.stages.localizer_data import LocalizerData
from wsss_lightning.nn.hypercolumns import Standardisation
from wsss_lightning.nn.optimisation import MakeOptimizer, Scheduler
from wsss_lightning.stages.fit import Callbacks, MakeTrainer, fit, inputs_of

SHARES = "classes"  # among devices; read by the planner
LOGS = {"train/loss": None, "val/tag_ap": None}  # see `pipeline.training`


def fit_localizers(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    features: Stored,
    statistics: Stored,
    pooling: Pooling,
    global_features: bool,
    hidden: int,
    rates: Sequence[float],
    epochs: Sequence[int],
    standardise: bool,
    seed: int,
    trainer: MakeTrainer,
    loggers: Mapping[str, Logger],
    workers: int,
    checkpoint_every: int,
    progress: bool,
    callbacks: Callbacks = None,
    optimizer: MakeOptimizer | None = None,
    scheduler: Scheduler | None = None,
) -> dict[str, float]:
    """Train one localizer per class on its positive images and as many random negative ones.

    A class's localizer is a function of its own tags, name and seed: the other classes change no bit of it, and several
    devices share the classes. `statistics`: the features whose mean
    and deviation standardise the inputs, those of the classes known before if there are any; `global_features` adds
    the global vector to what it sees; `hidden`, `rates`, `epochs` depend on the backbone and stand in its file;
    `standardise` is a deviation from the paper, whose localizers see raw hypercolumns.
    """
    backbone, grid = opened(features).backbone(), opened(features).grid()
    known = opened(statistics).statistics(with_global=global_features)

    def train(
        data: SegmentationDataModule,
        *,
        folder: Path,
        trainer: MakeTrainer,
        loggers: Mapping[str, Logger],
        held_out: bool,
    ) -> dict[str, float]:
        steps = LocalizerData(
            data=data, features=features, epochs=epochs, seed=seed, workers=workers, held_out=held_out
        )
        model = LocalizerModule(
            class_names=data.class_names,
            backbone=backbone,
            grid=grid,
            rates=rates,
            steps=steps.phase_steps,
            statistics=Standardisation(*known, enabled=standardise),
            global_features=global_features,
            hidden=hidden,
            pooling=pooling,
            seed=seed,
            optimizer=optimizer,
            scheduler=scheduler,
        )
        return fit(
            out_dir=folder,
            model=model,
            data=steps,
            inputs=inputs_of(data),
            trainer=trainer,
            callbacks=callbacks,
            loggers=loggers,
            checkpoint_every=checkpoint_every,
            progress=progress,
            description="localizers",
        )

    return share_classes(train, data, features=features, folder=Path(out_dir), trainer=trainer, loggers=loggers)
