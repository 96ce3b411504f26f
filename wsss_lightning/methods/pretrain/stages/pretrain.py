"""Stage: the weights of the `tiny` backbone, from image labels of generated pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning.loggers import Logger
from torch.utils.data import DataLoader, Dataset

from wsss_lightning.data.samples import Normalisation, Pixels
from wsss_lightning.data.shapes import PICTURE_CLASSES, picture
from wsss_lightning.data.steps import ImageSteps, StepData
from wsss_lightning.data.transforms import augment, picture_augmentation
from wsss_lightning.methods.pretrain.classifier import PictureClassifier
from wsss_lightning.nn.precision import to_float16
from wsss_lightning.nn.vgg import VGG, fold_batch_norm
from wsss_lightning.stages.fit import Callbacks, MakeTrainer, drop_checkpoint, fit, seeded
from wsss_lightning.stages.io import write_tensors


def pretrain(
    *,
    out_dir: str,
    widths: Sequence[int],
    fc6_kernel: int,
    hidden: int,
    pictures: int,
    held_out: int,
    size: int,
    epochs: int,
    batch_size: int,
    rate: float,
    weight_decay: float,
    mean: Sequence[float],
    std: Sequence[float],
    seed: int,
    trainer: MakeTrainer,
    loggers: Mapping[str, Logger],
    workers: int,
    checkpoint_every: int,
    progress: bool,
    callbacks: Callbacks = None,
) -> dict[str, float]:
    """Train a narrow VGG with batch norm on `pictures` pictures; fold the batch norm; write `tiny.safetensors`.

    `held_out` further pictures measure the accuracy; the weights are stored in float16.
    """
    with seeded(seed):
        classes = len(PICTURE_CLASSES)
        network = VGG(widths=widths, fc6_kernel=fc6_kernel, hidden=hidden, num_classes=classes, normalise=True)
    train = _Pictures(range(pictures), size=size, mean=mean, std=std, seed=seed)
    unseen = _Pictures(range(pictures, pictures + held_out), size=size, mean=mean, std=std, seed=seed)
    metrics = fit(
        out_dir=Path(out_dir),
        model=PictureClassifier(
            network=network.to(memory_format=torch.channels_last), rate=rate, weight_decay=weight_decay
        ),
        data=StepData(
            steps=lambda parts: ImageSteps(train, batch_size=batch_size * parts, epochs=epochs, seed=seed, packed=True),
            held_out=DataLoader(unseen, batch_size=batch_size, num_workers=workers),
            workers=workers,
            seed=seed,
        ),
        inputs=None,
        trainer=trainer,
        callbacks=callbacks,
        loggers=loggers,
        checkpoint_every=checkpoint_every,
        progress=progress,
        description="tiny backbone",
    )
    state = fold_batch_norm(network.eval()).state_dict()
    half = {name: to_float16(value, what=f"A weight of {name}") for name, value in state.items()}
    write_tensors(Path(out_dir) / "tiny.safetensors", half)
    drop_checkpoint(Path(out_dir))
    return metrics


class _Pictures(Dataset[dict[str, Any]]):
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
            self._drawn[index] = picture(self.indices[index], size=self.size)
        image, label = self._drawn[index]
        if step is not None:
            moved = augment(self.transform, {"image": image}, seed=self.seed, step=step, image_id=str(index))
            image = moved["image"]
        pixels = Pixels(torch.from_numpy(image), self.normalise)
        return {"image": pixels if packed else pixels.finished(), "label": torch.tensor(label)}
