"""Atomic writes: a file under its own name is whole."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from wsss_lightning.atomic import replace_file, write_json
from wsss_lightning.errors import InputError
from wsss_lightning.tensors import UnreadableError, load_tensors

__all__ = ["read_json", "read_tensors", "write_array", "write_json", "write_picture", "write_tensors"]


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write a safetensors file."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    replace_file(path, lambda temporary: save_file(contiguous, temporary))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file; a missing or damaged one is an `InputError`."""
    try:
        return load_tensors(path)
    except UnreadableError as error:
        raise InputError(f"{path} cannot be read, it {error}: delete its folder to compute the stage again.") from None


def write_array(path: Path, array: np.ndarray[Any, Any]) -> None:
    """Write a .npy file."""
    replace_file(path, lambda temporary: np.save(temporary, array, allow_pickle=False))


def read_json(path: Path) -> Any:
    """Read a JSON file; a missing or damaged one is an `InputError`."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): delete its folder to compute the stage again.") from None


def write_picture(path: Path, picture: np.ndarray[Any, Any]) -> None:
    """Write an (H, W, 3) uint8 picture as PNG."""
    replace_file(path, lambda temporary: Image.fromarray(picture).save(temporary))
