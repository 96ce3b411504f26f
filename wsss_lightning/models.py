"""A trained model in a folder of its own: `model.safetensors`, and `model.json`, which says how to build it.

In a folder for sharing (`wsss export --to safetensors`) the description has the name that hubs look for, `config.json`.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from safetensors.torch import save_file

from wsss_lightning.atomic import replace_file
from wsss_lightning.errors import InputError
from wsss_lightning.model_files import DESCRIPTION, WEIGHTS, description_path, read_description
from wsss_lightning.nn.description import build
from wsss_lightning.nn.states import UNTRAINED, load_weights
from wsss_lightning.tensors import UnreadableError, load_tensors


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
        InputError: a file is missing or damaged, it names code of others, or the weights do not fit.
    """
    path, weights = description_path(folder), Path(folder) / WEIGHTS
    model = _built(read_description(folder)["module"], path, trust=trust)
    try:
        state = load_tensors(weights)
    except UnreadableError as error:
        raise InputError(f"{weights} cannot be read, it {error}: train the model again, or copy it again.") from None
    if strange := sorted(state.keys() - model.state_dict().keys()):
        raise InputError(f"{weights} does not fit {path.name} beside it, {strange[0]} fits nothing: copy both again.")
    load_weights(model, state, source=str(weights), may_be_nan=UNTRAINED)
    return model.eval().requires_grad_(False)


def _built(node: Any, path: Path, *, trust: Collection[str]) -> pl.LightningModule:
    try:
        model = build(node, trust=trust)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (TypeError, ValueError, AttributeError, KeyError, RuntimeError, MemoryError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path} describes no model that can be built here ({reason}): copy it again.") from None
    if not isinstance(model, pl.LightningModule):
        raise InputError(f"{path} describes {type(model).__name__}, not a model: copy it again.")
    return model


def read_inputs(folder: Path | str) -> Inputs:
    """What the model of a folder expects and tells."""
    given, names = read_description(folder)["inputs"], {field.name for field in fields(Inputs)}
    if not isinstance(given, dict) or given.keys() != names:
        path = description_path(folder)
        raise InputError(f"{path}: inputs has not the entries {', '.join(sorted(names))}: copy it again.")
    return Inputs(**given)
