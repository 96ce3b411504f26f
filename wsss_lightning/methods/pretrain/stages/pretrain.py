"""Stage: the weights of the `tiny` backbone, from image labels of generated pictures."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from pytorch_lightning.loggers import Logger

from wsss_lightning.data.masks import palette
from wsss_lightning.data.shapes import PICTURE_CLASSES
from wsss_lightning.methods.pretrain.classifier import PictureClassifier
from wsss_lightning.methods.pretrain.steps import PictureData
from wsss_lightning.models import Inputs
from wsss_lightning.nn.optimisation import MakeOptimizer, Scheduler
from wsss_lightning.nn.precision import to_float16
from wsss_lightning.nn.vgg import VGG, fold_batch_norm
from wsss_lightning.stages.fit import Callbacks, MakeTrainer, fit
from wsss_lightning.stages.io import write_tensors

LOGS = {"train/loss": None, "val/accuracy": None}  # see `pipeline.training`


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
    optimizer: MakeOptimizer | None = None,
    scheduler: Scheduler | None = None,
    callbacks: Callbacks = None,
) -> dict[str, float]:
    """Train a narrow VGG with batch norm on `pictures` pictures; leave the model, and `tiny.safetensors`.

    `held_out` further pictures measure the accuracy. `tiny.safetensors`, which `nn.vgg.tiny` reads, are its weights in
    float16 with batch norm folded into the convolutions.
    """
    model = PictureClassifier(
        network=partial(VGG, widths=widths, fc6_kernel=fc6_kernel, hidden=hidden, normalise=True),
        class_names=PICTURE_CLASSES,
        rate=rate,
        weight_decay=weight_decay,
        seed=seed,
        optimizer=optimizer,
        scheduler=scheduler,
    )
    metrics = fit(
        out_dir=Path(out_dir),
        model=model,
        data=PictureData(
            pictures=pictures,
            held_out=held_out,
            size=size,
            mean=mean,
            std=std,
            epochs=epochs,
            batch_size=batch_size,
            seed=seed,
            workers=workers,
        ),
        inputs=_inputs(mean, std, size=size),
        trainer=trainer,
        callbacks=callbacks,
        loggers=loggers,
        checkpoint_every=checkpoint_every,
        progress=progress,
        description="tiny backbone",
    )
    state = fold_batch_norm(model.network.eval()).state_dict()
    half = {name: to_float16(value, what=f"A weight of {name}") for name, value in state.items()}
    write_tensors(Path(out_dir) / "tiny.safetensors", half)
    return metrics


def _inputs(mean: Sequence[float], std: Sequence[float], *, size: int) -> Inputs:
    labels = list(range(len(PICTURE_CLASSES) + 1))
    colours = palette()[labels].tolist()
    return Inputs(PICTURE_CLASSES, indices=labels, palette=colours, mean=list(mean), std=list(std), size=[size, size])
