"""What localizers are trained on: stored hypercolumns of one image a step, and the classes that learn from it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.samples import collate
from wsss_lightning.data.steps import StepData
from wsss_lightning.errors import InputError
from wsss_lightning.methods.points.stages.balanced_schedule import Step, balanced_schedule, phase_steps
from wsss_lightning.methods.points.stages.features import FeatureStore, Stored, StoredImages, opened


class LocalizerData(StepData):
    """Batches for `LocalizerModule`: see `balanced_schedule`; the val images are held out.

    Args:
        data: tags and lists.
        features: folder of an `extract` stage.
        epochs: of each phase; `phase_steps` says how many steps that makes.
        seed: of the order and of what is drawn.
        workers: loading processes.
        held_out: give the val images to `validation_step`.

    Raises:
        InputError: no training image is tagged with a class.
    """

    def __init__(
        self,
        *,
        data: SegmentationDataModule,
        features: Stored,
        epochs: Sequence[int],
        seed: int = 0,
        workers: int = 0,
        held_out: bool = True,
    ) -> None:
        store = opened(features)
        data.require_every_class()
        tags = np.stack([record.tags for record in data.records("train")])
        schedule = balanced_schedule(tags, data.class_names, epochs=sum(epochs), seed=seed)
        images = StoredImages(store, "train", data.records("train"))
        steps = _LocalizerSteps(images, [step for epoch in schedule for step in epoch])
        super().__init__(
            steps=lambda _: steps,
            held_out=held_out_images(store, data) if held_out else None,
            workers=workers,
            seed=seed,
        )
        self.phase_steps = phase_steps(schedule, epochs)


def held_out_images(store: FeatureStore, data: SegmentationDataModule) -> DataLoader[Any]:
    """The val images one by one."""
    return DataLoader(StoredImages(store, "val", data.records("val")), batch_size=1, collate_fn=collate)


class _LocalizerSteps:
    """One image a step, as in the paper, with the classes that learn from it; beyond the last they begin anew."""

    batch_size = 1

    def __init__(self, images: StoredImages, schedule: Sequence[Step]) -> None:
        self.images, self.schedule = images, schedule

    def __len__(self) -> int:
        return len(self.schedule)

    def batch(self, step: int, *, rank: int, world: int) -> dict[str, Any]:  # noqa: ARG002
        """The image of `step`, which cannot be shared: the stage shares the classes instead."""
        if world > 1:
            raise InputError(
                "localizers learn from one image a step: leave accumulate_grad_batches out, and share the classes "
                "among devices, as the stage fit_localizers does."
            )
        index, classes = self.schedule[step % len(self.schedule)]
        return {**collate([self.images[index]]), "classes": classes}
