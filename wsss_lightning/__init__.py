"""Weakly-supervised semantic segmentation from image tags."""

from importlib import import_module
from typing import Any

__version__ = "0.2.0"
__all__ = ["load"]


def __getattr__(name: str) -> Any:
    """`load`, which imports torch: a command that only plans should not wait for it.

    By its name: what `import` statements here read would count as code of every stage.
    """
    if name == "load":
        return import_module(f"{__name__}.inference.loading").load_trained
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
