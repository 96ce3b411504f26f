"""A trained model in a folder of its own: `model.safetensors`, and `model.json`, which says how to build it."""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from wsss_lightning.atomic import replace_file
from wsss_lightning.errors import InputError
from wsss_lightning.nn.description import build

WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"


@dataclass(frozen=True)
class Inputs:
    """What a model expects and tells: foreground classes by label 1, 2, ..., RGB statistics in 0..1, sizes in px.

    `size`: (H, W), or the shorter side, or None for images of any size; `palette`: RGB 0..255 of labels 0, 1, ...;
    `indices`: those of the data set's own masks for labels 0, 1, ...
    """

    class_names: Sequence[str]
    indices: Sequence[int]
    palette: Sequence[Sequence[int]]
    mean: Sequence[float]
    std: Sequence[float]
    size: Sequence[int] | int | None


def save(model: pl.LightningModule, folder: Path, *, inputs: Inputs) -> None:
    """Write the model's weights and, last, its description: class, hyperparameters (plain data) and `inputs`."""
    target = f"{type(model).__module__}.{type(model).__qualname__}"
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    replace_file(folder / WEIGHTS, lambda temporary: save_file(state, temporary))
    content = {"module": {"_target_": target, **dict(model.hparams)}, "inputs": asdict(inputs)}
    text = json.dumps(content, indent=2) + "\n"
    replace_file(folder / DESCRIPTION, lambda temporary: temporary.write_text(text))


def load(folder: Path | str, *, trust: Collection[str] = ()) -> pl.LightningModule:
    """The trained model of a finished `fit` stage, or of a copy of its folder, frozen and in evaluation mode.

    Neither data, nor a store, nor Hydra is needed. What the model expects is its `inputs` (`read_inputs`).

    Args:
        folder: of `model.json` and `model.safetensors`.
        trust: top-level packages of third parties whose code the model may be built of.

    Raises:
        InputError: a file is missing or damaged, or the weights do not fit.
    """
    path = Path(folder) / DESCRIPTION
    model: pl.LightningModule = build(_content(path)["module"], trust=trust)
    try:
        model.load_state_dict(load_file(path.with_name(WEIGHTS)))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path.with_name(WEIGHTS)} cannot be loaded ({reason}): train the model again.") from None
    return model.eval().requires_grad_(False)


def read_inputs(folder: Path | str) -> Inputs:
    """What the model of a folder expects and tells."""
    return Inputs(**_content(Path(folder) / DESCRIPTION)["inputs"])


def _content(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        raise InputError(f"{path.parent} is no folder of a trained model: {path.name} is not in it.") from None
    return content
