"""The field's `.npy` dictionaries of class activation maps (CAMs): IRNet's, SEAM's and psa's, CLIP-ES's."""

from __future__ import annotations

from collections import Counter
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
from wsss_lightning.scoring.predictions import Winners, check_prediction_size

Classes = NDArray[np.int64]
Maps = NDArray[np.float32]

_FULL_SIZE = ("high_res", "attn_highres", "highres")  # of IRNet; of CLIP-ES, refined and raw
_ROUNDING = 1e-3  # float16 has 11 bits
_SUM = 0.02  # of probabilities in float16 to 1
_LARGEST = 1 << 31  # number of a class that is looked at


def read_cam_file(path: Path, *, labels: LabelMap, size: tuple[int, int]) -> Winners:
    """Read IRNet's `{keys, cam, high_res}`, SEAM's and psa's `{class: map}`, CLIP-ES's `{keys, attn_highres, highres}`.

    Classes count from 0, background has no map.

    Keys with a padded background (0, then classes from 1) are known by it: they are one more than the maps, or the
    first map is a constant, as IRNet's evaluation pads it. `high_res` is taken, else CLIP-ES's refined maps, else its
    raw ones; where there are none of these, `cam` is resized.
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
        return Winners(np.zeros(size, np.uint8), np.zeros(size, np.float32), frozenset(), left_out)
    return Winners(encoded[maps.argmax(axis=0)], maps.max(axis=0), frozenset(encoded.tolist()), left_out)


def read_cam_maps(path: Path, *, labels: LabelMap, size: tuple[int, int]) -> tuple[NDArray[np.uint8], Maps]:
    """Labels (K,) of the kept classes that have a map, and their maps (K, *size) in 0..1; see `read_cam_file`."""
    return _kept_maps(path, labels, size)[:2]


def write_cam_file(path: Path, *, classes: Classes, maps: Maps) -> None:
    """Write IRNet's `{keys, high_res}` as `.npy`: classes (K,) from 0 in the data set's order, maps (K, H, W) in 0..1.

    In half precision; images of one size are not asked for.
    """
    content = np.array({"keys": classes.astype(np.int64), "high_res": maps.astype(np.float16)}, dtype=object)
    replace_file(path, lambda temporary: np.save(temporary, content, allow_pickle=True))


def empty_maps(path: Path) -> tuple[int, int]:
    """How many maps of a file that `write_cam_file` wrote are 0 everywhere, and how many there are."""
    maps = np.asarray(read_pickled_arrays(path)["high_res"])
    return int((~maps.any(axis=(1, 2))).sum()), len(maps)


def _kept_maps(path: Path, labels: LabelMap, size: tuple[int, int]) -> tuple[NDArray[np.uint8], Maps, int]:
    """Labels and maps of the kept classes, and how many maps are of others."""
    classes, maps, full = _parse(read_pickled_arrays(path), path)
    _check(classes, maps, labels, path)
    encoded = labels.encode((classes + 1).astype(np.uint8), path)
    kept = encoded != IGNORE
    if not kept.any():
        maps = np.zeros((0, *size), np.float32)
    elif full:
        check_prediction_size(maps.shape[1:], size, path)
        maps = maps[kept]
    else:
        maps = resize_maps(torch.from_numpy(maps[kept])[None], size)[0].numpy()
    return encoded[kept], maps, int((~kept).sum())


def _parse(content: Any, path: Path) -> tuple[Classes, Maps, bool]:
    """Classes (K,) from 0, their maps (K, h, w) as the file has them, and whether those are as large as the image."""
    if not isinstance(content, dict):
        raise _no_dictionary(path, f"a {type(content).__name__}")
    if "keys" not in content:
        return *_without_background(*_seam(content, path)), True
    name = next((name for name in (*_FULL_SIZE, "cam") if content.get(name) is not None), None)
    if name is None:
        raise _no_dictionary(path, f"a dictionary of {_names(content)}, no high_res and no cam")
    keys, maps = _numbers(content["keys"], path), _stack(content[name], path)
    return *_without_background(keys, maps), name != "cam"


def _seam(content: dict[Any, Any], path: Path) -> tuple[Classes, Maps]:
    if any(isinstance(key, str) and not key.strip().isdigit() for key in content):
        raise _no_dictionary(path, f"a dictionary of {_names(content)}")
    keys, maps = _numbers(list(content), path), _stack(list(content.values()), path)
    # What psa's CRF leaves: the background's probability under 0, those of class k under k + 1.
    if len(keys) > 1 and keys[0] == 0 and len(maps) == len(keys) and bool((abs(maps.sum(axis=0) - 1) < _SUM).all()):
        raise InputError(
            f"{path} holds probabilities that sum to 1, 0 for the background: write the best label as an index PNG."
        )
    return keys, maps


def _no_dictionary(path: Path, content: str) -> InputError:
    return InputError(
        f"{path} holds {content}, neither IRNet's {{keys, cam, high_res}} nor SEAM's {{class: map}} nor "
        "CLIP-ES's {keys, attn_highres}: write one map (H, W) per class in one of these forms."
    )


def _names(content: dict[Any, Any]) -> str:
    return ", ".join(str(key)[:40] for key in list(content)[:5]) or "nothing"


def _numbers(keys: Any, path: Path) -> Classes:
    """Class numbers (K,) of a list, an array (K,) or (K, 1), or a text of digits each."""
    if keys is None or isinstance(keys, str | bytes | dict | int | float):
        raise _no_dictionary(path, f"keys that are a {type(keys).__name__}")
    numbers = [_number(key, path) for key in keys]
    if repeated := [number for number, count in Counter(numbers).items() if count > 1]:
        raise InputError(f"{path} names the class {repeated[0]} twice: write one map for each class.")
    return np.array(numbers, np.int64)


def _number(key: Any, path: Path) -> int:
    value = key.item() if isinstance(key, np.ndarray | np.generic) and key.size == 1 else key
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1 or abs(value) > _LARGEST:
        shown = str(value)[:30]
        raise InputError(f"{path} names the class {shown}, which is no number of a class: count the classes from 0.")
    return int(value)


def _stack(maps: Any, path: Path) -> Maps:
    """(K, h, w) float32."""
    try:
        if not len(maps):
            return np.zeros((0, 1, 1), np.float32)
        stacked = np.asarray(maps)
    except (TypeError, ValueError):
        raise _no_dictionary(path, f"maps that are {_shapes(maps)}") from None
    if stacked.dtype.kind not in "biuf":
        raise _no_dictionary(path, f"maps of {stacked.dtype} values")
    if stacked.ndim != 3 or not stacked.size:
        raise _no_dictionary(path, f"maps of shape {stacked.shape}")
    return stacked.astype(np.float32)


def _shapes(maps: Any) -> str:
    if not isinstance(maps, list | tuple):
        return f"a {type(maps).__name__}"
    shapes = [str(each.shape) if isinstance(each, np.ndarray) else type(each).__name__ for each in maps[:3]]
    return f"of the shapes {', '.join(shapes)}"


def _without_background(keys: Classes, maps: Maps) -> tuple[Classes, Maps]:
    if not len(keys) or keys[0] != 0:
        return keys, maps
    if len(keys) == len(maps) + 1:
        return keys[1:] - 1, maps
    if not len(maps):
        return keys, maps
    # The maps of an image are divided by their maximum: a constant between 0 and 1 is no map of the first class.
    padded = bool(0 < maps[0].min() == maps[0].max() < 1)
    return (keys[1:] - 1, maps[1:]) if padded else (keys, maps)


def _check(classes: Classes, maps: Maps, labels: LabelMap, path: Path) -> None:
    if len(classes) != len(maps):
        raise _no_dictionary(path, f"maps of shape {maps.shape} for {len(classes)} classes")
    wrong = classes[(classes < 0) | (classes >= len(labels.names))]
    if wrong.size:
        raise InputError(f"{path} has a map of class {wrong[0]}, counted from 0, but there are {len(labels.names)}.")
    if np.isnan(maps).any():
        number = int(classes[np.isnan(maps).any(axis=(1, 2)).argmax()])
        raise InputError(
            f"{path} has nan in the map of class {number}, not scores within 0..1: leave a map of zeros as it is "
            "instead of dividing it by its maximum."
        )
    if not ((maps >= -_ROUNDING) & (maps <= 1 + _ROUNDING)).all():
        least, most = float(maps.min()), float(maps.max())
        remedy = "divide them by 255" if least >= 0 and 128 < most <= 255 else "divide each map by its maximum"
        raise InputError(f"{path} has scores in {least:g}..{most:g}, not within 0..1: {remedy}.")
