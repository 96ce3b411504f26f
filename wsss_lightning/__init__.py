"""Weakly-supervised semantic segmentation from image tags."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["load"]

if TYPE_CHECKING:
    from wsss_lightning.models import load


def __getattr__(name: str) -> Any:
    """`load`, which imports torch: a command that only plans should not wait for it."""
    if name == "load":
        from wsss_lightning.models import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
