"""Files of tensors from anywhere, read without running anything in them: torch's and safetensors'.

Nothing else in the project calls `torch.load` or safetensors' readers of whole files. What is wrong with a file is said
in words of this project: torch's own message advises to switch the protection off.
"""

import re
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

_FOREIGN = re.compile(r"GLOBAL ([\w.]+)|type (?:of )?<class '([\w.]+)'>")


class UnreadableError(ValueError):
    """Why a file cannot be read: a phrase that follows "it"; the caller names the file and the remedy."""


def load_pickle(source: Path | BinaryIO, *, mmap: bool = False) -> Any:
    """What `torch.save` wrote: tensors, numbers and text in lists and dictionaries, on the CPU.

    Args:
        source: a file's path or content.
        mmap: read tensors only where they are looked at.

    Raises:
        UnreadableError: it is damaged, no such file, or holds anything else; nothing of it has been run.
    """
    try:
        return torch.load(source, map_location="cpu", weights_only=True, mmap=mmap or None)
    except Exception as error:  # torch names no common base for what a damaged file can raise
        raise UnreadableError(_reason(error)) from None


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name.

    Raises:
        UnreadableError: it is damaged, missing or no such file.
    """
    try:
        return load_file(path)
    except FileNotFoundError:
        raise UnreadableError("does not exist") from None
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise UnreadableError(f"is damaged or no safetensors file ({_first_line(error)})") from None


def _reason(error: Exception) -> str:
    text = str(error)
    if isinstance(error, FileNotFoundError):
        return "does not exist"
    if "TorchScript" in text:
        return "is a TorchScript program, not a file of tensors"
    if foreign := _FOREIGN.search(text):
        return f"holds {foreign[1] or foreign[2]}, which is neither a tensor nor plain data"
    if "eights only" in text or "weights_only" in text:
        return "holds something else than tensors and plain data, or is damaged"
    return f"is damaged or no file of torch.save ({_first_line(error)})"


def _first_line(error: Exception) -> str:
    """A library's own words, but for what it advises."""
    line = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    return " ".join(line.partition("https:")[0].split())[:120].rstrip(" .:")
