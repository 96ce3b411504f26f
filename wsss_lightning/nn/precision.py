"""Half precision for what is stored."""

import torch
from torch import Tensor

from wsss_lightning.errors import InputError


def to_float16(tensor: Tensor, *, what: str) -> Tensor:
    """Half precision for storage; values beyond its range, 65504, are refused instead of becoming infinite."""
    if bool((tensor.abs() > torch.finfo(torch.float16).max).any()):
        raise InputError(f"{what} exceeds the range of float16: set points.half=false.")
    return tensor.half()
