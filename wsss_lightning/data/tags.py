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
from wsss_lightning.errors import InputError, obstacle

_NO_ELEMENT, _UNCLOSED = 3, 5  # expat's codes of a document that ends too soon
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
        digits = image_id.replace("_", "")
        number = int(digits) if digits.isdecimal() and digits.isascii() else image_id
        key = image_id if image_id in table else number
        if key not in table:
            example = f", its keys are such as {next(iter(table))!r:.60}" if table else ", it is empty"
            raise InputError(f"{path} has no tags of {image_id}{example}: write the ids as keys, or add its tags.")
        return _zeros_and_ones(table[key], f"{path} holds {{}} for {image_id}", count=len(names))

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
        present = np.bincount(read_mask(path).ravel(), minlength=256) > 0
        if present[len(names) + 1 : 255].any():
            index = len(names) + 1 + int(present[len(names) + 1 :].argmax())
            raise InputError(f"{path} holds index {index}, but there are {len(names)} classes: check the class names.")
        return present[1 : len(names) + 1]

    return tags


def _zeros_and_ones(given: object, sentence: str, *, count: int) -> NDArray[np.bool_]:
    needed = f"{count} zeros and ones are needed, one per foreground class, without background"
    try:
        values = np.asarray(given)
    except ValueError:
        raise InputError(f"{sentence.format('lists of several lengths')}: {needed}.") from None
    if values.shape != (count,):
        raise InputError(f"{sentence.format(f'an array of shape {values.shape}')}: {needed}.")
    if values.dtype.kind not in "biufc" or not np.isin(values, (0, 1)).all():
        numbers = values.dtype.kind in "biufc"
        such = f" such as {next(value for value in values.tolist() if value not in (0, 1))}" if numbers else ""
        raise InputError(f"{sentence.format(f'{values.dtype} values{such}')}: {needed}.")
    return values.astype(bool)


def _object_names(path: Path) -> set[str]:
    """Names of all objects, wherever they stand below `annotation`, whatever namespace they are in."""
    root = _xml_root(path)
    if _local(root) != "annotation":
        raise InputError(f"{path} is another document, its root is <{root.tag:.60}>: put VOC's <annotation> there.")
    objects = [item for item in root.iter() if _local(item) == "object"]
    if not objects and any(_local(item) == "bndbox" for item in root.iter()):
        raise InputError(f"{path} has boxes outside of any <object>: put each with its <name> into an <object>.")
    names = [_names_of(item) or [""] for item in objects]
    if several := next((number for number, given in enumerate(names, 1) if given[1:]), None):
        raise InputError(f"{path}: object {several} has several <name>s: give each object one.")
    if [""] in names:
        raise InputError(f"{path}: object {names.index(['']) + 1} has no <name>: write the name of its class.")
    return {name for (name,) in names}


def _xml_root(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(path).getroot()
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: add it, or choose other tags (npy, masks).") from error
    except ElementTree.ParseError as error:
        cut = error.code in (_NO_ELEMENT, _UNCLOSED)
        remedy = "it is cut off, fetch it again" if cut else "correct it there, it is to be XML in UTF-8"
        raise InputError(f"{path} is not readable XML ({error}): {remedy}.") from error
    except (OSError, ValueError, LookupError, RecursionError) as error:
        raise obstacle(path, error) or InputError(f"{path} is not readable XML ({error}): save it in UTF-8.") from error


def _local(item: ElementTree.Element) -> str:
    """The element's name in lower case, without its namespace; empty of a comment."""
    return item.tag.rpartition("}")[2].lower() if isinstance(item.tag, str) else ""


def _names_of(item: ElementTree.Element) -> list[str]:
    return [(child.text or "").strip() for child in item if _local(child) == "name"]
