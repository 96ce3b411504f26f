"""A trained model in a folder of its own: `model.safetensors`, and `model.json`, which says how to build it.

In a folder for sharing (`wsss export --to safetensors`) the description has the name that hubs look for, `config.json`.
"""

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

WEIGHTS, DESCRIPTION, SHARED_DESCRIPTION = "model.safetensors", "model.json", "config.json"


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
    write_weights(model, folder)
    content = {"module": {"_target_": target, **dict(model.hparams)}, "inputs": asdict(inputs)}
    text = json.dumps(content, indent=2) + "\n"
    replace_file(folder / DESCRIPTION, lambda temporary: temporary.write_text(text))


def write_weights(model: pl.LightningModule, folder: Path) -> None:
    """Write the weights of a model, which say nothing of how to build it."""
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    replace_file(folder / WEIGHTS, lambda temporary: save_file(state, temporary))


def load(folder: Path | str, *, trust: Collection[str] = ()) -> pl.LightningModule:
    """The trained model of a finished `fit` stage, or of a copy of its folder, frozen and in evaluation mode.

    Neither data, nor a store, nor Hydra is needed. What the model expects is its `inputs` (`read_inputs`).

    Args:
        folder: of `model.safetensors` and `model.json`, or `config.json` as it is shared.
        trust: top-level packages of third parties whose code the model may be built of.

    Raises:
        InputError: a file is missing or damaged, or the weights do not fit.
    """
    path = Path(folder) / WEIGHTS
    model: pl.LightningModule = build(read_description(folder)["module"], trust=trust)
    try:
        model.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} cannot be loaded ({reason}): train the model again.") from None
    return model.eval().requires_grad_(False)


def read_inputs(folder: Path | str) -> Inputs:
    """What the model of a folder expects and tells."""
    return Inputs(**read_description(folder)["inputs"])


def read_description(folder: Path | str) -> dict[str, Any]:
    """`module`, `inputs` and, of a finished stage, the supervision `card` of the model of a folder.

    Raises:
        InputError: it is no folder of a model.
    """
    own, shared = Path(folder) / DESCRIPTION, Path(folder) / SHARED_DESCRIPTION
    try:
        content: dict[str, Any] = json.loads((own if own.exists() else shared).read_text())
        if content["module"] and content["inputs"]:
            return content
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise InputError(f"{folder} is no folder of a trained model: {DESCRIPTION} is not in it.")
