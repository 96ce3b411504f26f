"""The device of a stage that runs a network outside a trainer."""

import torch

from wsss_lightning.errors import InputError


def choose_device(accelerator: str) -> torch.device:
    """`cpu`, `gpu`/`cuda`, `mps` or `auto`, in the words of Lightning's `accelerator`."""
    available = {"gpu": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    wanted = {"cuda": "gpu"}.get(accelerator, accelerator)
    if wanted == "auto":
        wanted = next(name for name, there in available.items() if there)
    if not available.get(wanted, False):
        raise InputError(f"trainer.accelerator={accelerator} is not available here: use auto or cpu.")
    return torch.device({"gpu": "cuda"}.get(wanted, wanted))
