"""Generated pictures to learn from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from wsss_lightning.data.samples import Normalisation, Pixels
from wsss_lightning.data.shapes import figure_picture
from wsss_lightning.data.steps import ImageSteps, StepData
from wsss_lightning.data.transforms import augment, picture_augmentation
from wsss_lightning.lifetime import begin_loading


class PictureData(StepData):
    """Pictures with their labels for `classifier.PictureClassifier`.

    Args:
        pictures: how many are learned from.
        held_out: how many further ones are for validation and tests.
        size: edge in px.
        mean: of RGB in 0..1.
        std: of RGB in 0..1.
        epochs: how often the pictures are gone through.
        batch_size: pictures per step.
        seed: of their order and augmentation.
        workers: loading processes; no result depends on it.
    """

    def __init__(
        self,
        *,
        pictures: int,
        held_out: int,
        size: int,
        mean: Sequence[float],
        std: Sequence[float],
        epochs: int,
        batch_size: int,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        train = Pictures(range(pictures), size=size, mean=mean, std=std, seed=seed)
        others = Pictures(range(pictures, pictures + held_out), size=size, mean=mean, std=std, seed=seed)
        super().__init__(
            steps=lambda parts: ImageSteps(train, batch_size=batch_size * parts, epochs=epochs, seed=seed, packed=True),
            held_out=DataLoader(others, batch_size=batch_size, num_workers=workers, worker_init_fn=begin_loading),
            workers=workers,
            seed=seed,
        )

    def test_dataloader(self) -> DataLoader[Any] | list[Any]:
        """What is held out."""
        return self.val_dataloader()

    def predict_dataloader(self) -> DataLoader[Any] | list[Any]:
        """What is held out."""
        return self.val_dataloader()


class Pictures(Dataset[dict[str, Any]]):
    """Generated pictures, normalised; `step` picks the augmentation, None shows the picture as it is."""

    def __init__(self, indices: range, *, size: int, mean: Sequence[float], std: Sequence[float], seed: int) -> None:
        self.indices, self.size, self.seed = indices, size, seed
        self.normalise = Normalisation(mean, std)
        self.transform = picture_augmentation((size, size), mean=mean)
        self._drawn: dict[int, tuple[NDArray[np.uint8], int]] = {}  # a picture is drawn once, augmented every epoch

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.at(index, step=None)

    def at(self, index: int, *, step: int | None, packed: bool = False) -> dict[str, Any]:
        """Picture number `index`, augmented as a function of (seed, step, picture) unless `step` is None."""
        if index not in self._drawn:
            self._drawn[index] = figure_picture(self.indices[index], size=self.size)
        image, label = self._drawn[index]
        if step is not None:
            moved = augment(self.transform, {"image": image}, seed=self.seed, step=step, image_id=str(index))
            image = moved["image"]
        pixels = Pixels(torch.from_numpy(image), self.normalise)
        return {"image": pixels if packed else pixels.finished(), "label": torch.tensor(label)}
