"""The field's `.npy` dictionaries of class activation maps (CAMs): IRNet's and SEAM's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wsss_lightning.atomic import replace_file
from wsss_lightning.data.labels import IGNORE, LabelMap
from wsss_lightning.data.pickles import read_pickled_arrays
from wsss_lightning.errors import InputError
from wsss_lightning.ops.resize import resize_maps
from wsss_lightning.scoring.predictions import Prediction, check_size

Classes = NDArray[np.int64]
Maps = NDArray[np.float32]

_ROUNDING = 1e-3  # float16 has 11 bits


def read_cam_file(path: Path, *, labels: LabelMap, size: tuple[int, int]) -> Prediction:
    """Read IRNet's `{keys, cam, high_res}` or SEAM's `{class: map}`; classes count from 0, background has no map.

    Keys with a padded background (0, then classes from 1) are known by it: they are one more than the maps, or the
    first map is a constant, as IRNet's evaluation pads it. `high_res` is taken; where there is none, `cam` is resized.
    Only classes that have a map and are kept compete; of equal scores the first in the file wins.

    Args:
        path: of the dictionary; nothing in it is run.
        labels: the data set's classes and the kept ones.
        size: (H, W) of the image.

    Raises:
        InputError: the file is no such dictionary, of another size, names a class that the data set does not have, or
            its scores are not within 0..1.
    """
    encoded, maps, left_out = _kept_maps(path, labels, size)
    if not len(encoded):
        return Prediction(np.zeros(size, np.uint8), np.zeros(size, np.float32), frozenset(), left_out)
    return Prediction(encoded[maps.argmax(axis=0)], maps.max(axis=0), frozenset(encoded.tolist()), left_out)


def read_cam_maps(path: Path, *, labels: LabelMap, size: tuple[int, int]) -> tuple[NDArray[np.uint8], Maps]:
    """Labels (K,) of the kept classes that have a map, and their maps (K, *size) in 0..1; see `read_cam_file`."""
    return _kept_maps(path, labels, size)[:2]


def write_cam_file(path: Path, *, classes: Classes, maps: Maps) -> None:
    """Write IRNet's `{keys, high_res}`: classes (K,) from 0 in the data set's order, maps (K, H, W) in 0..1.

    In half precision; images of one size are not asked for.
    """
    content = np.array({"keys": classes.astype(np.int64), "high_res": maps.astype(np.float16)}, dtype=object)
    replace_file(path, lambda temporary: _save(temporary, content))


def empty_maps(path: Path) -> tuple[int, int]:
    """How many maps of a file that `write_cam_file` wrote are 0 everywhere, and how many there are."""
    maps = np.asarray(read_pickled_arrays(path)["high_res"])
    return int((~maps.any(axis=(1, 2))).sum()), len(maps)


def _save(path: Path, content: NDArray[np.object_]) -> None:
    with path.open("wb") as file:  # numpy.save would add a suffix to a name
        np.save(file, content, allow_pickle=True)


def _kept_maps(path: Path, labels: LabelMap, size: tuple[int, int]) -> tuple[NDArray[np.uint8], Maps, int]:
    """Labels and maps of the kept classes, and how many maps are of others."""
    classes, maps = _parse(read_pickled_arrays(path), size, path)
    _check(classes, maps, labels, path)
    encoded = labels.encode((classes + 1).astype(np.uint8), path)
    kept = encoded != IGNORE
    if kept.any():
        check_size(maps.shape[1:], size, path)
    return encoded[kept], maps[kept], int((~kept).sum())


def _parse(content: Any, size: tuple[int, int], path: Path) -> tuple[Classes, Maps]:
    """Classes (K,) from 0 and their maps (K, h, w)."""
    try:
        is_irnet = "keys" in content
        keys = np.array([int(key) for key in (content["keys"] if is_irnet else content)], np.int64)
        maps = _irnet_maps(content, size) if is_irnet else _stack(list(content.values()), size)
        classes, maps = _without_background(keys, maps)
        if len(classes) != len(maps):
            raise ValueError
        return classes, maps
    except (TypeError, ValueError, KeyError, IndexError, AttributeError):
        raise InputError(
            f"{path} holds neither IRNet's {{keys, cam, high_res}} nor SEAM's {{class: map}}: "
            "write one map (H, W) per class in one of these forms."
        ) from None


def _irnet_maps(content: dict[str, Any], size: tuple[int, int]) -> Maps:
    if "high_res" in content:
        return _stack(content["high_res"], size)
    return resize_maps(torch.from_numpy(_stack(content["cam"], size))[None], size)[0].numpy()


def _stack(maps: Any, size: tuple[int, int]) -> Maps:
    """(K, h, w) float32; `size` is what no map at all has."""
    stacked = np.asarray(maps, np.float32) if len(maps) else np.zeros((0, *size), np.float32)
    if stacked.ndim != 3:
        raise ValueError
    return stacked


def _without_background(keys: Classes, maps: Maps) -> tuple[Classes, Maps]:
    if not len(keys) or keys[0] != 0:
        return keys, maps
    if len(keys) == len(maps) + 1:
        return keys[1:] - 1, maps
    # The maps of an image are divided by their maximum: a constant between 0 and 1 is no map of the first class.
    padded = bool(0 < maps[0].min() == maps[0].max() < 1)
    return (keys[1:] - 1, maps[1:]) if padded else (keys, maps)


def _check(classes: Classes, maps: Maps, labels: LabelMap, path: Path) -> None:
    wrong = classes[(classes < 0) | (classes >= len(labels.names))]
    if wrong.size:
        raise InputError(f"{path} has a map of class {wrong[0]}, counted from 0, but there are {len(labels.names)}.")
    if not ((maps >= -_ROUNDING) & (maps <= 1 + _ROUNDING)).all():
        raise InputError(f"{path} has scores that are not within 0..1: divide each map by its maximum.")
