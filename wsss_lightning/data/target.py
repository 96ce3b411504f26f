"""The one class that a stage looks at."""

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.errors import InputError


def target_index(data: SegmentationDataModule, target: str) -> int:
    """Which of the data set's classes is called `target`, from 0.

    Raises:
        InputError: none is.
    """
    if target not in data.class_names:
        raise InputError(f"{data.root} has no class {target!r}: take one of {', '.join(data.class_names)}.")
    return data.class_names.index(target)
