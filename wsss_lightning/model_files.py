"""What the folder of a trained model says of it, read without torch: a wrong name on a command line costs no import."""

import ast
import json
from pathlib import Path
from typing import Any

from wsss_lightning.errors import InputError, obstacle

WEIGHTS, DESCRIPTION, SHARED_DESCRIPTION = "model.safetensors", "model.json", "config.json"
_PACKAGE = Path(__file__).parent


def read_description(folder: Path | str) -> dict[str, Any]:
    """`module`, `inputs` and, of a finished stage, the supervision `card` of the model of a folder.

    Raises:
        InputError: it is no folder of a model, or its description is damaged.
    """
    path = description_path(folder)
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


def description_path(folder: Path | str) -> Path:
    """Where `read_description` looks: `model.json`, or where there is only that, `config.json`."""
    own, shared = Path(folder) / DESCRIPTION, Path(folder) / SHARED_DESCRIPTION
    return own if own.exists() or not shared.exists() else shared


def labels_pixels(folder: Path) -> bool:
    """Whether the model of a folder gives probabilities of pixels; also where its class is of a third party."""
    try:
        target = str(read_description(folder)["module"]["_target_"])
    except (InputError, KeyError, TypeError):
        return False
    return _source(target) is None or _defines(target, "probabilities")


def _defines(target: str, method: str) -> bool:
    """Whether the class of a dotted name, or a class of ours that it is derived from, has a method: by its source."""
    source, name = _source(target), target.rpartition(".")[2]
    tree = ast.parse(source.read_text(encoding="utf-8")) if source else ast.Module([], [])
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    origins = {alias.name: f"{node.module}.{alias.name}" for node in imports for alias in node.names}
    own = next((node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name), None)
    if own is None:
        return False
    if any(isinstance(node, ast.FunctionDef) and node.name == method for node in own.body):
        return True
    return any(_defines(origins.get(ast.unparse(base), ""), method) for base in own.bases)


def _source(target: str) -> Path | None:
    """The file of the module of a class of ours."""
    package, *parts = target.split(".")[:-1] or [""]
    path = _PACKAGE.joinpath(*parts).with_suffix(".py")
    return path if package == _PACKAGE.name and path.is_file() else None
