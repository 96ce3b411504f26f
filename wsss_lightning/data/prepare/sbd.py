"""SBD's segmentations as index PNGs: `cls/<id>.mat` to `SegmentationClassAug/<id>.png`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wsss_lightning.data.images import image_size
from wsss_lightning.data.masks import read_mask, write_mask
from wsss_lightning.data.prepare.mat import MOST_BYTES, TooLargeError, variables
from wsss_lightning.errors import InputError, obstacle
from wsss_lightning.parallel import in_parallel

_CLASSES = 20  # VOC's; SBD has no index 255


def read_sbd_mask(path: Path) -> NDArray[np.uint8]:
    """Read the class indices of one of SBD's files `cls/*.mat`, its `GTcls.Segmentation`.

    Returns:
        (H, W) uint8; 0 is background, 1..20 are VOC's classes, 255 does not occur.

    Raises:
        InputError: the file is missing, damaged or holds anything else.
    """
    try:
        indices = _segmentation(path)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: unpack SBD's benchmark.tgz again.") from error
    except InputError:
        raise
    except Exception as error:  # a damaged file can raise anything
        reason = str(error) or type(error).__name__
        again = f"{path} cannot be read ({reason}): unpack SBD's benchmark.tgz again."
        raise obstacle(path, error) or InputError(again) from error
    if indices.ndim != 2 or not indices.size or indices.dtype.kind not in "uif":
        raise InputError(f"{path} holds {indices.dtype} values of shape {indices.shape}: save class indices (H, W).")
    strange = indices[~np.isin(indices, np.arange(_CLASSES + 1))]
    if strange.size:
        raise InputError(f"{path} holds the value {strange[0]}: save class indices, whole numbers 0 to {_CLASSES}.")
    return np.ascontiguousarray(indices, np.uint8)


def _segmentation(path: Path) -> NDArray[np.generic]:
    """`GTcls.Segmentation`; the file is looked at before anything in it is believed."""
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if b"MATLAB 7.3" in content[:128] or content[:8] == b"\x89HDF\r\n\x1a\n":
        raise InputError(f"{path} is a file of MATLAB 7.3: save it with `-v7`, which is read.")
    try:
        stored = variables(content) if len(content) <= MOST_BYTES else None
    except TooLargeError:
        stored = None
    if stored is None:
        raise InputError(f"{path} holds more than {MOST_BYTES:,} bytes: save `GTcls` alone in it.")
    if "GTcls" not in stored:
        names = ", ".join(name for name in stored if name and not name.startswith("__")) or "nothing"
        raise InputError(f"{path} holds {names} but no GTcls: take the file of the folder cls, or name it GTcls.")
    if (segmentation := stored["GTcls"].field("Segmentation")) is None:
        raise InputError(f"{path}: GTcls is no structure with a field Segmentation: save GTcls.Segmentation.")
    return segmentation.numbers()


@dataclass(frozen=True)
class MaskSource:
    """A mask to have at `target`, from `source`: an index PNG, or one of SBD's `.mat` files; `image` is its image."""

    source: Path
    target: Path
    image: Path | None = None


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
    indices = read_mask(mask.source) if is_png else read_sbd_mask(mask.source)
    if mask.image is not None and indices.shape != (size := image_size(mask.image)):
        raise InputError(
            f"{mask.source} has size {indices.shape} (H, W), but {mask.image} has {size}: use the image's own."
        )
    if mask.target.exists():
        return mask.target, "kept" if np.array_equal(indices, read_mask(mask.target)) else "differs"
    write_mask(mask.target, indices)
    return mask.target, "written"
