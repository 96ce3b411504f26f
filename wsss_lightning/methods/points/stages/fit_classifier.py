"""Stage: the point classifier (points sec. 3.3 and 4.1)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from pytorch_lightning.loggers import Logger
from torch import Tensor

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.steps import StepData, share
from wsss_lightning.methods.points.classifier import PointClassifier, PointClassifierModule
from wsss_lightning.methods.points.stages.features import FeatureStore
from wsss_lightning.nn.hypercolumns import Standardisation
from wsss_lightning.stages.fit import Callbacks, MakeTrainer, drop_checkpoint, fit, seeded
from wsss_lightning.stages.io import read_tensors, write_tensors

_WEIGHTS = "classifier.safetensors"


def fit_classifier(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    features: str,
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
) -> dict[str, float]:
    """Train the classifier on batches of `batch_size` points for `steps` steps, or `epochs` epochs if that is null.

    A fixed number of steps gives every sampling the same budget, however many points it has. `points`: folders of
    stored points; an image of several of them is read from the last, so that later points replace earlier ones.
    """
    bank = PointBank.read([Path(folder) for folder in points], global_features=global_features)
    with seeded(seed):
        classifier = _build(
            FeatureStore(Path(features)),
            global_size=bank.pooled.shape[1],
            hidden=hidden,
            num_labels=data.num_classes + 1,
            standardise=standardise,
        )
    total = steps if steps is not None else epochs * -(-len(bank.labels) // batch_size)
    metrics = fit(
        out_dir=Path(out_dir),
        model=PointClassifierModule(classifier=classifier, rate=rate),
        data=StepData(
            steps=lambda parts: _PointSteps(bank, total=total, batch_size=batch_size * parts, seed=seed),
            held_out=None,
            workers=workers,
            seed=seed,
        ),
        inputs=None,
        trainer=trainer,
        callbacks=callbacks,
        loggers=loggers,
        checkpoint_every=checkpoint_every,
        progress=progress,
        description="point classifier",
    )
    write_tensors(Path(out_dir) / _WEIGHTS, classifier.state_dict())
    drop_checkpoint(Path(out_dir))
    return metrics


def read_classifier(folder: Path) -> PointClassifier:
    """The trained classifier of a finished stage; every size follows from its tensors."""
    state = read_tensors(folder / _WEIGHTS)
    features = state["local.weight"].shape[1]
    classifier = PointClassifier(
        statistics=Standardisation(torch.zeros(features), torch.ones(features)),
        global_size=state["whole.weight"].shape[1] if "whole.weight" in state else 0,
        hidden=state["local.weight"].shape[0],
        num_labels=state["out.weight"].shape[0],
    )
    classifier.load_state_dict(state)
    return classifier.eval().requires_grad_(False)


def _build(
    store: FeatureStore, *, global_size: int, hidden: int, num_labels: int, standardise: bool
) -> PointClassifier:
    statistics = Standardisation(*store.statistics(), enabled=standardise)
    return PointClassifier(statistics=statistics, global_size=global_size, hidden=hidden, num_labels=num_labels)


class PointBank:
    """All labelled points in memory: own features (P, D), label (P,), image (P,) into global vectors (N, G)."""

    def __init__(self, *, features: Tensor, labels: Tensor, images: Tensor, pooled: Tensor) -> None:
        self.features, self.labels, self.images, self.pooled = features, labels, images, pooled

    @classmethod
    def read(cls, folders: Sequence[Path], *, global_features: bool) -> "PointBank":
        """Collect the files of `sample` stages, an image's from the last that has it; G is 0 if not wanted."""
        paths = {path.name: path for folder in folders for path in sorted(folder.glob("*.safetensors"))}
        files = [read_tensors(path) for _, path in sorted(paths.items())]
        counts = torch.tensor([len(file["labels"]) for file in files])
        pooled = torch.cat([file["pooled"] for file in files])
        return cls(
            features=torch.cat([file["features"] for file in files]),
            labels=torch.cat([file["labels"] for file in files]),
            images=torch.repeat_interleave(torch.arange(len(files)), counts),
            pooled=pooled if global_features else pooled[:, :0],
        )


class _PointSteps:
    """Batches of points; every epoch is a permutation drawn from (seed, epoch)."""

    def __init__(self, bank: PointBank, *, total: int, batch_size: int, seed: int) -> None:
        self.bank, self.total, self.seed = bank, total, seed
        self.batch_size = min(batch_size, len(bank.labels))
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def __len__(self) -> int:
        return self.total

    def batch(self, step: int, *, rank: int, world: int) -> dict[str, Tensor]:
        """Points of one step; what is left of an epoch's permutation beyond full batches waits for the next one."""
        per_epoch = len(self.bank.labels) // self.batch_size
        epoch, position = divmod(step, per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = (
                epoch,
                np.random.default_rng([self.seed, epoch]).permutation(len(self.bank.labels)),
            )
        chosen = share(self._order[position * self.batch_size :][: self.batch_size], rank=rank, world=world)
        rows = torch.from_numpy(chosen)
        pooled = self.bank.pooled[self.bank.images[rows]]
        return {"features": self.bank.features[rows].float(), "labels": self.bank.labels[rows], "pooled": pooled}
