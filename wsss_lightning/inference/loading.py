"""Trained models, wherever they are: a folder, an exported file, a stage of a store."""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray
from PIL import Image

from wsss_lightning import models
from wsss_lightning.errors import InputError
from wsss_lightning.inference.graphs import SUFFIXES, load_graph
from wsss_lightning.inference.labelled import LabelledPicture
from wsss_lightning.inference.labelling import Crf, Settings, label_picture
from wsss_lightning.inference.pictures import as_pixels
from wsss_lightning.model_files import WEIGHTS


class TrainedModel(pl.LightningModule):
    """What `load_trained` gives: the LightningModule with `inputs` and, of `predict_picture`, the method `predict`."""

    inputs: models.Inputs
    predict: Callable[..., LabelledPicture]


def load_trained(path: Path | str, *, trust: Collection[str] = ()) -> TrainedModel:
    """A trained model, frozen and in evaluation mode, that labels pictures: `wsss_lightning.load(path).predict(image)`.

    Neither data, nor a store, nor Hydra is needed.

    Args:
        path: folder of a finished `fit` stage or a copy of it, of `wsss export`, or an exported .onnx or .pt file.
        trust: top-level packages of third parties whose code the model may be built of.

    Raises:
        InputError: a file is missing or damaged, or the weights do not fit.
    """
    path = Path(path)
    if path.suffix in SUFFIXES and not path.is_dir():
        model, inputs = load_graph(path)
    else:
        folder = path.parent if path.name == WEIGHTS else path
        model, inputs = models.load(folder, trust=trust), models.read_inputs(folder)  # type: ignore[assignment]
    trained = cast(TrainedModel, model)
    trained.inputs, trained.predict = inputs, partial(predict_picture, trained)
    return trained


def predict_picture(
    model: TrainedModel,
    image: Path | str | Image.Image | NDArray[np.uint8],
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    crf: Crf | None = None,
    tags: Sequence[str] | None = None,
    longest: int | None = 1024,
) -> LabelledPicture:
    """What such a model says of one picture: mask, probabilities and the picture with both names and colours.

    Args:
        model: from `load_trained`, on any device.
        image: a file, a PIL image, or an array (H, W, 3) RGB or (H, W) grey, uint8.
        scales: see `Settings`.
        flip: see `Settings`.
        crf: see `Settings`.
        tags: classes that the picture shows; None where nobody knows.
        longest: see `Settings`.

    Raises:
        InputError: the picture is damaged, a tag unknown, or the model labels no pixels.
    """
    require_labelling(model)
    settings = Settings(scales=tuple(scales), flip=flip, crf=crf, longest=longest)
    name = Path(image).stem if isinstance(image, Path | str) else "picture"
    return label_picture(model, as_pixels(image), name=name, inputs=model.inputs, settings=settings, tags=tags)


def require_labelling(model: pl.LightningModule) -> None:
    """Raise `InputError` where a model does not label pixels."""
    if not hasattr(model, "reading"):
        raise InputError(f"A {type(model).__name__} labels no pixels: name the stage of a method's last network.")
