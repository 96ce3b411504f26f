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
from wsss_lightning.errors import InputError, obstacle
from wsss_lightning.nn.description import build
from wsss_lightning.nn.states import UNTRAINED, load_weights
from wsss_lightning.tensors import UnreadableError, load_tensors

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
        InputError: a file is missing or damaged, it names code of others, or the weights do not fit.
    """
    path, weights = _description_path(folder), Path(folder) / WEIGHTS
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
        path = _description_path(folder)
        raise InputError(f"{path}: inputs has not the entries {', '.join(sorted(names))}: copy it again.")
    return Inputs(**given)


def read_description(folder: Path | str) -> dict[str, Any]:
    """`module`, `inputs` and, of a finished stage, the supervision `card` of the model of a folder.

    Raises:
        InputError: it is no folder of a model, or its description is damaged.
    """
    path = _description_path(folder)
    _require_no_file(Path(folder))
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        if blocked := obstacle(path, error):
            raise blocked from None
        raise InputError(f"{folder} is no folder of a trained model: {DESCRIPTION} is not in it.") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path} is no JSON: train the model again, or copy it again.") from None
    if not isinstance(content, dict) or not {"module", "inputs"} <= content.keys():
        raise InputError(f"{path} describes no model, it lacks module or inputs: copy it again.")
    return content


def _require_no_file(folder: Path) -> None:
    if folder.suffix == ".ckpt" and folder.is_file():
        raise InputError(
            f"{folder} is a checkpoint of Lightning's: load_from_checkpoint of its module's class reads it, such as "
            "CosegModule.load_from_checkpoint; or give the folder of a finished stage."
        )
    if folder.is_file():
        raise InputError(f"{folder} is a file: give the folder of a finished stage, or one that `wsss export` wrote.")


def _description_path(folder: Path | str) -> Path:
    own, shared = Path(folder) / DESCRIPTION, Path(folder) / SHARED_DESCRIPTION
    return own if own.exists() or not shared.exists() else shared
