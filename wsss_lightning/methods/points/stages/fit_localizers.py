"""Stage: per-class localizers from tags (points sec. 3.1 and 4.1)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning.loggers import Logger
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from wsss_lightning.data.base import Record, SegmentationDataModule
from wsss_lightning.data.steps import StepData, share
from wsss_lightning.errors import InputError
from wsss_lightning.methods.points.localizers import LocalizerModule, Localizers, Pooling, inputs
from wsss_lightning.methods.points.stages.features import FeatureStore
from wsss_lightning.nn.hypercolumns import Standardisation
from wsss_lightning.stages.fit import Callbacks, MakeTrainer, drop_checkpoint, fit, own_seed, seeded
from wsss_lightning.stages.io import read_tensors, write_tensors

_WEIGHTS = "localizers.safetensors"


def fit_localizers(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    features: str,
    statistics: str,
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
) -> dict[str, float]:
    """Train one localizer per class on its positive images and as many random negative ones.

    A class's localizer is a function of its own tags, name and seed: the other classes change no bit of it.
    `statistics`: the features whose mean and deviation standardise the inputs, those of the classes known before if
    there are any; `global_features` adds the global vector to what it sees; `hidden`, `rates`, `epochs` depend on the
    backbone and stand in its file; `standardise` is a deviation from the paper, whose localizers see raw hypercolumns.
    """
    store = FeatureStore(Path(features))
    records = data.records("train")
    by_epoch = balanced_schedule(_tags(records, data), data.class_names, epochs=sum(epochs), seed=seed)
    known = FeatureStore(Path(statistics)).statistics(with_global=global_features)
    localizers = Localizers(
        statistics=Standardisation(*known, enabled=standardise),
        num_classes=data.num_classes,
        hidden=hidden,
        grid=store.grid(),
        with_global=global_features,
    )
    for name, localizer in zip(data.class_names, localizers.classes, strict=True):
        with seeded(own_seed(seed, name)):
            localizer.reset()  # type: ignore[operator]
    module = LocalizerModule(localizers=localizers, rates=rates, ends=phase_ends(by_epoch, epochs), pooling=pooling)
    metrics = fit(
        out_dir=Path(out_dir),
        model=module,
        data=StepData(
            steps=lambda _: _ImageSteps(
                _Images(store, "train", records, global_features), [s for steps in by_epoch for s in steps]
            ),
            held_out=DataLoader(_Images(store, "val", data.records("val"), global_features), batch_size=None),
            workers=workers,
            seed=seed,
        ),
        inputs=None,
        trainer=trainer,
        callbacks=callbacks,
        loggers=loggers,
        checkpoint_every=checkpoint_every,
        progress=progress,
        description="localizers",
    )
    write_localizers(Path(out_dir), localizers.state_dict(), with_global=global_features)
    drop_checkpoint(Path(out_dir))
    return metrics


def write_localizers(folder: Path, state: dict[str, Tensor], *, with_global: bool) -> None:
    """Keep the weights of `Localizers` and whether these see the global vector."""
    write_tensors(folder / _WEIGHTS, {**state, "with_global": torch.tensor(with_global)})


def read_localizers(folder: Path, store: FeatureStore) -> Localizers:
    """The trained localizers of a finished stage, ready for score maps; every size follows from the tensors."""
    state = read_state(folder)
    with_global = bool(state.pop("with_global"))
    hidden, features = state["classes.0.first.weight"].shape
    localizers = Localizers(
        statistics=Standardisation(torch.zeros(features), torch.ones(features)),
        num_classes=count_classes(state),
        hidden=hidden,
        grid=store.grid(),
        with_global=with_global,
    )
    localizers.load_state_dict(state)
    return localizers.eval().requires_grad_(False)


def read_state(folder: Path) -> dict[str, Tensor]:
    """What `write_localizers` wrote."""
    return read_tensors(folder / _WEIGHTS)


def count_classes(state: dict[str, Tensor]) -> int:
    """Number of classes in a state dict of `Localizers`."""
    return sum(name.endswith(".first.weight") for name in state)


def _tags(records: Sequence[Record], data: SegmentationDataModule) -> NDArray[np.bool_]:
    tags = np.stack([record.tags for record in records])
    missing = [data.class_names[index] for index in np.flatnonzero(~tags.any(axis=0))]
    if missing:
        raise InputError(
            f"No image of the list {data.lists['train']} in {data.root} is tagged {', '.join(missing)}: add images, or "
            "leave the class out of data.classes."
        )
    return tags


Step = tuple[int, list[int]]


def balanced_schedule(
    tags: NDArray[np.bool_], class_names: Sequence[str], *, epochs: int, seed: int
) -> list[list[Step]]:
    """Steps of each epoch: an image and the classes that learn from it.

    `tags`: (N, C). In every epoch a class learns from each image that carries its tag and from as many drawn at
    random from those that do not (sec. 4.1); an image that no class has drawn is left out. What a class draws depends
    on (seed, epoch, its name), and the order of images on (seed, epoch).
    """
    schedule = []
    for epoch in range(epochs):
        draws = [np.random.default_rng([own_seed(seed, name), epoch]) for name in class_names]
        chosen = np.stack([_balanced(column, rng) for column, rng in zip(tags.T, draws, strict=True)], axis=1)
        order = np.random.default_rng([seed, epoch]).permutation(len(tags))
        schedule.append([(int(i), np.flatnonzero(chosen[i]).tolist()) for i in order if chosen[i].any()])
    return schedule


def phase_ends(schedule: Sequence[Sequence[Step]], epochs: Sequence[int]) -> list[int]:
    """The step at which each phase of `epochs` epochs ends."""
    lengths = [len(steps) for steps in schedule]
    return [sum(lengths[: sum(epochs[: phase + 1])]) for phase in range(len(epochs))]


def _balanced(present: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    negatives = rng.permutation(np.flatnonzero(~present))[: int(present.sum())]
    chosen = present.copy()
    chosen[negatives] = True
    return chosen


class _Images(Dataset[dict[str, Any]]):
    """Stored hypercolumns and tags of a split's images."""

    def __init__(self, store: FeatureStore, split: str, records: Sequence[Record], with_global: bool) -> None:
        self.store, self.split, self.records, self.with_global = store, split, records, with_global

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> dict[str, Any]:
        record = self.records[index]
        seen = self.store.read(self.split, record.image_id)
        return {"maps": inputs(seen, with_global=self.with_global), "tags": torch.from_numpy(record.tags)}


class _ImageSteps:
    """One image a step, as in the paper, with the classes that learn from it."""

    def __init__(self, images: _Images, schedule: Sequence[Step]) -> None:
        self.images, self.schedule = images, schedule

    batch_size = 1

    def __len__(self) -> int:
        return len(self.schedule)

    def batch(self, step: int, *, rank: int, world: int) -> dict[str, Any]:
        """The image of `step`; a batch of one cannot be shared by several devices."""
        index, classes = self.schedule[step]
        share([index], rank=rank, world=world)
        return {**self.images[index], "classes": classes}
