"""SBD's segmentations as index PNGs: `cls/<id>.mat` to `SegmentationClassAug/<id>.png`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat  # type: ignore[attr-defined]

from wsss_lightning.data.masks import read_mask, write_mask
from wsss_lightning.errors import InputError
from wsss_lightning.parallel import in_parallel

_CLASSES = 20  # VOC's; SBD has no index 255


def read_segmentation(path: Path) -> NDArray[np.uint8]:
    """Read the class indices of one of SBD's files `cls/*.mat`, its `GTcls.Segmentation`.

    Returns:
        (H, W) uint8; 0 is background, 1..20 are VOC's classes, 255 does not occur.

    Raises:
        InputError: the file is missing, damaged or holds anything else.
    """
    try:
        with path.open("rb") as file:
            variables = loadmat(file, variable_names=["GTcls"])  # type: ignore[no-untyped-call]
        indices = variables["GTcls"]["Segmentation"][0, 0]
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: unpack SBD's benchmark.tgz again.") from error
    except Exception as error:  # a damaged file can raise anything
        reason = str(error) or type(error).__name__
        raise InputError(f"{path} cannot be read ({reason}): unpack SBD's benchmark.tgz again.") from error
    if indices.ndim != 2 or indices.dtype != np.uint8 or indices.max(initial=0) > _CLASSES:
        raise InputError(
            f"{path} holds {indices.dtype} values of shape {indices.shape} up to {indices.max(initial=0)}, not uint8 "
            f"class indices up to {_CLASSES}: unpack SBD's benchmark.tgz again."
        )
    return np.ascontiguousarray(indices)


@dataclass(frozen=True)
class MaskSource:
    """A mask to have at `target`, from `source`: an index PNG, or one of SBD's `.mat` files."""

    source: Path
    target: Path


Outcome = Literal["written", "kept", "differs"]


def place_masks(masks: Iterable[MaskSource], *, processes: int, progress: bool = True) -> dict[Path, Outcome]:
    """Write masks as palette PNGs; one that is there already is never overwritten.

    Returns:
        Of each target whether it was written, was there with the same indices ("kept") or with others ("differs").

    Raises:
        InputError: a source, or a mask that is there already, cannot be read; what was written until then is whole.
    """
    jobs = list(masks)
    return dict(in_parallel(_place, jobs, processes=processes, description="masks", progress=progress))


def _place(mask: MaskSource) -> tuple[Path, Outcome]:
    is_png = mask.source.suffix == ".png"
    indices = read_mask(mask.source) if is_png else read_segmentation(mask.source)
    if mask.target.exists():
        return mask.target, "kept" if np.array_equal(indices, read_mask(mask.target)) else "differs"
    write_mask(mask.target, indices)
    return mask.target, "written"
