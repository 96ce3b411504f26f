"""Stage: per-class localizers from tags (points sec. 3.1 and 4.1)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning.loggers import Logger
from torch.utils.data import DataLoader, Dataset

from wsss_lightning.data.base import Record, SegmentationDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.methods.points.localizers import LocalizerModule, Localizers, Pooling
from wsss_lightning.nn.hypercolumns import Standardisation
from wsss_lightning.stages.features import FeatureStore
from wsss_lightning.stages.fit import MakeTrainer, fit, seeded, share
from wsss_lightning.stages.io import read_tensors, write_tensors

_WEIGHTS = "localizers.safetensors"


def fit_localizers(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    features: str,
    pooling: Pooling,
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
) -> dict[str, float]:
    """Train one localizer per class on its positive images and as many random negative ones.

    `hidden`, `rates`, `epochs` depend on the backbone and stand in its file; `standardise` is a deviation from the
    paper, whose localizers see raw hypercolumns.
    """
    store = FeatureStore(Path(features))
    records = data.records("train")
    tags = _tags(records, data)
    schedule = balanced_schedule(tags, epochs=sum(epochs), seed=seed)
    with seeded(seed):
        localizers = _build(store, num_classes=data.num_classes, hidden=hidden, standardise=standardise)
    module = LocalizerModule(localizers=localizers, rates=rates, epochs=epochs, pooling=pooling)
    metrics = fit(
        out_dir=Path(out_dir),
        module=module,
        steps=_ImageSteps(store, records, schedule),
        trainer=trainer,
        loggers=loggers,
        held_out=DataLoader(_Images(store, "val", data.records("val")), batch_size=None),
        seed=seed,
        workers=workers,
        checkpoint_every=checkpoint_every,
        progress=progress,
        description="localizers",
    )
    flags = torch.tensor([hidden, data.num_classes, int(standardise)])
    write_tensors(Path(out_dir) / _WEIGHTS, {**localizers.classes.state_dict(), "flags": flags})
    return metrics


def read_localizers(folder: Path, store: FeatureStore) -> Localizers:
    """The trained localizers of a finished stage, ready for score maps."""
    state = read_tensors(folder / _WEIGHTS)
    hidden, num_classes, standardise = state.pop("flags").tolist()
    localizers = _build(store, num_classes=num_classes, hidden=hidden, standardise=bool(standardise))
    localizers.classes.load_state_dict(state)
    return localizers.eval().requires_grad_(False)


def _build(store: FeatureStore, *, num_classes: int, hidden: int, standardise: bool) -> Localizers:
    statistics = Standardisation(*store.statistics(), enabled=standardise)
    return Localizers(statistics=statistics, num_classes=num_classes, hidden=hidden, grid=store.grid())


def _tags(records: Sequence[Record], data: SegmentationDataModule) -> NDArray[np.bool_]:
    tags = np.stack([record.tags for record in records])
    missing = [data.class_names[index] for index in np.flatnonzero(~tags.any(axis=0))]
    if missing:
        raise InputError(
            f"No image of the list {data.lists['train']} in {data.root} is tagged {', '.join(missing)}: add images, or "
            "leave the class out of data.classes."
        )
    return tags


def balanced_schedule(tags: NDArray[np.bool_], *, epochs: int, seed: int) -> list[tuple[int, list[int]]]:
    """Steps of all epochs: an image and the classes that learn from it.

    `tags`: (N, C). In every epoch a class learns from each image that carries its tag and from as many drawn at
    random from those that do not (sec. 4.1); an image that no class has drawn is left out.
    """
    steps = []
    for epoch in range(epochs):
        rng = np.random.default_rng([seed, epoch])
        chosen = np.stack([_balanced(column, rng) for column in tags.T], axis=1)
        order = rng.permutation(len(tags))
        steps += [(int(i), np.flatnonzero(chosen[i]).tolist()) for i in order if chosen[i].any()]
    return steps


def _balanced(present: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    negatives = rng.permutation(np.flatnonzero(~present))[: int(present.sum())]
    chosen = present.copy()
    chosen[negatives] = True
    return chosen


class _Images(Dataset[dict[str, Any]]):
    """Stored hypercolumns and tags of a split's images."""

    def __init__(self, store: FeatureStore, split: str, records: Sequence[Record]) -> None:
        self.store, self.split, self.records = store, split, records

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> dict[str, Any]:
        record = self.records[index]
        maps = self.store.read(self.split, record.image_id).maps
        return {"maps": maps, "tags": torch.from_numpy(record.tags)}


class _ImageSteps:
    """One image a step, as in the paper, with the classes that learn from it."""

    def __init__(self, store: FeatureStore, records: Sequence[Record], schedule: list[tuple[int, list[int]]]) -> None:
        self.images = _Images(store, "train", records)
        self.schedule = schedule

    def __len__(self) -> int:
        return len(self.schedule)

    def batch(self, step: int, *, rank: int, world: int) -> dict[str, Any]:
        """The image of `step`; a batch of one cannot be shared by several devices."""
        index, classes = self.schedule[step]
        share([index], rank=rank, world=world)
        return {**self.images[index], "classes": classes}
