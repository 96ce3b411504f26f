"""Where image tags come from: VOC's XML, the field's tag files, or the masks.

Each function opens one source and returns `image id -> (C,) bool` over all foreground classes of the data set. The
sources differ: XML also lists objects that are marked difficult or have no pixel of their own in the mask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from wsss_lightning.data.masks import read_mask
from wsss_lightning.data.pickles import read_pickled_arrays
from wsss_lightning.errors import InputError

TagSource = Callable[[str], NDArray[np.bool_]]


def no_tags(count: int) -> TagSource:
    """All of `count` classes absent in every image: of lists whose annotations nobody has."""
    return lambda _: np.zeros(count, dtype=bool)


def tags_from_xml(folder: Path, *, names: Sequence[str]) -> TagSource:
    """Tags of VOC's `Annotations/<id>.xml`: every object counts, also a difficult one.

    Args:
        folder: holds the XML files.
        names: the C foreground classes in index order.

    Raises:
        InputError: (when asked for an image) its XML is missing, damaged or names a class that is not in `names`.
    """

    def tags(image_id: str) -> NDArray[np.bool_]:
        path = folder / f"{image_id}.xml"
        objects = _object_names(path)
        unknown = sorted(objects - set(names))
        if unknown:
            raise InputError(f"{path} names {unknown[0]!r}, which is none of {', '.join(names)}: fix the file.")
        return np.array([name in objects for name in names])

    return tags


def tags_from_npy(path: Path, *, names: Sequence[str]) -> TagSource:
    """Tags of `cls_labels.npy` (id -> 0/1 values) or ToCo's `cls_labels_onehot.npy`.

    A key is the image id, or VOC's id as a number without its underscore (2007_000032 -> 2007000032).

    Args:
        path: the pickled dictionary.
        names: the C foreground classes in index order; background has no value.

    Raises:
        InputError: the file is not such a dictionary; (when asked for an image) it lacks the id, or its values are not
            C zeros and ones.
    """
    table = read_pickled_arrays(path)
    if not isinstance(table, dict):
        raise InputError(f"{path} holds {type(table).__name__}: a dictionary of image ids is needed.")

    def tags(image_id: str) -> NDArray[np.bool_]:
        key = next((key for key in _keys(image_id) if key in table), None)
        if key is None:
            raise InputError(f"{path} has no tags of {image_id}: add them, or take the tags from elsewhere.")
        values = np.asarray(table[key])
        if values.shape != (len(names),) or not np.isin(values, (0, 1)).all():
            raise InputError(
                f"{path} holds an array of shape {values.shape} for {image_id}: "
                f"{len(names)} zeros and ones are needed, one per foreground class."
            )
        return values.astype(bool)

    return tags


def tags_from_masks(find_mask: Callable[[str], Path], *, names: Sequence[str]) -> TagSource:
    """Tags of the classes that have at least one pixel in the mask: strong supervision is read here.

    Args:
        find_mask: the mask file of an image id.
        names: the C foreground classes in index order; index 0 is background, 255 is ignored.

    Raises:
        InputError: (when asked for an image) its mask cannot be read or has another index.
    """

    def tags(image_id: str) -> NDArray[np.bool_]:
        path = find_mask(image_id)
        found = np.bincount(read_mask(path).ravel(), minlength=256) > 0
        if found[len(names) + 1 : 255].any():
            index = len(names) + 1 + int(found[len(names) + 1 :].argmax())
            raise InputError(f"{path} holds index {index}, but there are {len(names)} classes: check the class names.")
        return found[1 : len(names) + 1]

    return tags


def _object_names(path: Path) -> set[str]:
    try:
        objects = ElementTree.parse(path).getroot().findall("object")
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: add it, or choose other tags (npy, masks).") from error
    except (OSError, ElementTree.ParseError, ValueError) as error:
        raise InputError(f"{path} is not readable XML ({error}): fetch it again.") from error
    return {(item.findtext("name") or "").strip() for item in objects}


def _keys(image_id: str) -> list[str | int]:
    digits = image_id.replace("_", "")
    return [image_id, int(digits)] if digits.isdecimal() and digits.isascii() else [image_id]
