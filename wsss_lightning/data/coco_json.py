"""COCO's annotation files read and checked, every value before anything depends on it.

Nothing here needs numpy or torch, so that the processes that paint label maps start at once.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path, PurePosixPath
from typing import Any

from wsss_lightning.data.coco_annotations import Content, Id
from wsss_lightning.data.names import require_class_names, require_distinct_ids, require_image_id, require_relative
from wsss_lightning.errors import InputError, obstacle

_MAX_SIDE = 65_536  # px; `coco_masks` bounds the area
_IS_CROWD = {0: 0, 1: 1, "0": 0, "1": 1}
JsonObject = dict[str, Any]


def read_annotations(path: Path, *, outlines: bool) -> Content:
    """Read an instances file.

    Args:
        path: the file; train2014's has 330 MB.
        outlines: keep the annotations' `segmentation`; else each is dropped as soon as it is parsed.

    Raises:
        InputError: the file is missing, is no such file, or a value in it is not what it needs.
    """
    content = _parsed(path, sections=("images", "categories", "annotations"), outlines=outlines)
    images = _check_images(content["images"], path, sized=outlines)
    categories = _check_categories(content["categories"], path)
    for place, entry in enumerate(content["annotations"]):
        entry.setdefault("id", f"at place {place}")
        _check_annotation(entry, f"{path}, entry {place} of annotations", images=images, categories=categories)
    content["shapeless"] = [place for place, entry in enumerate(content["annotations"]) if not _outlined(entry)]
    if not outlines:
        for entry in content["annotations"]:
            del entry["segmentation"]
    return content  # type: ignore[return-value]


def read_image_info(path: Path) -> Content:
    """Read an image_info file, whose images have no annotations; errors as `read_annotations`."""
    content = _parsed(path, sections=("images", "categories"), outlines=False)
    _check_images(content["images"], path, sized=False)
    _check_categories(content["categories"], path)
    return {**content, "annotations": [], "shapeless": []}  # type: ignore[typeddict-item]


def _parsed(path: Path, *, sections: tuple[str, ...], outlines: bool) -> JsonObject:
    try:
        with path.open(encoding="utf-8-sig") as file:
            content = json.load(file, object_hook=None if outlines else _without_outline)
    except (OSError, ValueError, RecursionError) as error:
        other = InputError(f"{path} cannot be read ({error}): put COCO's annotation file there.")
        raise obstacle(path, error) or other from None
    if missing := [section for section in sections if not _is_section(content, section)]:
        raise InputError(f"{path} has no list {', '.join(missing)}: put COCO's instances file there, not another one.")
    return content  # type: ignore[no-any-return]


def _without_outline(entry: JsonObject) -> JsonObject:
    """Of the outline only whether there is one."""
    if "segmentation" in entry:
        entry["segmentation"] = _encloses(entry["segmentation"])
    return entry


def _is_section(content: object, section: str) -> bool:
    entries = content.get(section) if isinstance(content, dict) else None
    return isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)


def _outlined(entry: JsonObject) -> bool:
    outline = entry.setdefault("segmentation", False)
    return outline if isinstance(outline, bool) else _encloses(outline)


def _encloses(outline: object) -> bool:
    """Whether something can be painted: run lengths, or a polygon of at least three points, right or wrong."""
    if isinstance(outline, list):
        return any(not isinstance(part, list) or len(part) >= 6 for part in outline)
    return outline not in (None, False)


def _check_images(entries: list[JsonObject], path: Path, *, sized: bool) -> dict[Id, str]:
    """File name by id."""
    if not entries:
        raise InputError(f"{path} names no image: put a file there whose `images` has entries.")
    names: dict[Id, str] = {}
    for place, entry in enumerate(entries):
        where = f"{path}, entry {place} of images"
        number = entry["id"] = _identifier(entry, "id", where)
        name = require_relative(_text(entry, "file_name", where), f"{where}, file_name")
        if number in names:
            raise InputError(f"{path}: the images {names[number]} and {name} both have the id {number}: number them.")
        names[number] = name
        if sized:
            entry["height"], entry["width"] = (_side(entry, key, where) for key in ("height", "width"))
    stems = [(require_image_id(PurePosixPath(name).stem, path), name) for name in names.values()]
    require_distinct_ids(stems, path)
    return names


def _check_categories(entries: list[JsonObject], path: Path) -> dict[Id, str]:
    names: dict[Id, str] = {}
    for place, entry in enumerate(entries):
        where = f"{path}, entry {place} of categories"
        number = entry["id"] = _identifier(entry, "id", where)
        name = _text(entry, "name", where)
        if names.setdefault(number, name) != name:
            raise InputError(
                f"{path}: the categories {names[number]!r} and {name!r} both have the id {number}: fix it."
            )
    require_class_names(list(dict.fromkeys(names.values())), f"{path}, categories")
    return names


def _check_annotation(entry: JsonObject, where: str, *, images: dict[Id, str], categories: dict[Id, str]) -> None:
    for key, known in (("image_id", images), ("category_id", categories)):
        number = entry[key] = _identifier(entry, key, where)
        if number not in known:
            raise InputError(
                f"{where} (id {_short(entry['id'])}) has the {key} {_short(number)}, which {_unmet(number, known)}: "
                "correct one of them."
            )
    crowd = entry.get("iscrowd", 0)
    if not isinstance(crowd, (int, float, str)) or crowd not in _IS_CROWD:
        raise InputError(f"{where} has the iscrowd {_short(crowd)}: write 0 for an object, 1 for a crowd.")
    entry["iscrowd"] = _IS_CROWD[crowd]
    entry["area"] = _area(entry.get("area"), where)


def _unmet(number: Id, known: dict[Id, str]) -> str:
    other: Id = str(number) if isinstance(number, int) else int(number) if re.fullmatch(r"\d{1,18}", number) else ""
    return f"is {other!r} there (text is no number)" if other in known else "no entry has"


def _identifier(entry: JsonObject, key: str, where: str) -> Id:
    value = _given(entry, key, where)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, (int, str)) or value == "":
        raise InputError(f"{where} has the {key} {_short(value)}: a whole number or a text is needed, write one.")
    return value


def _text(entry: JsonObject, key: str, where: str) -> str:
    value = _given(entry, key, where)
    if not isinstance(value, str):
        raise InputError(f"{where} has the {key} {_short(value)}: a text is needed, write one.")
    return value


def _side(entry: JsonObject, key: str, where: str) -> int:
    value = _given(entry, key, where)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 1 <= value <= _MAX_SIDE or value % 1:
        raise InputError(f"{where} has the {key} {_short(value)}: write the image's in whole px, 1 to {_MAX_SIDE:,}.")
    return int(value)


def _area(value: object, where: str) -> float | None:
    """None where nobody has measured it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise InputError(f"{where} has the area {_short(value)}: write it in px, or leave it out to have it measured.")
    return float(min(value, 1e300))


def _given(entry: JsonObject, key: str, where: str) -> object:
    if key not in entry:
        raise InputError(f"{where} has no {key}: add it, its keys are {_short(', '.join(map(str, entry)) or 'none')}.")
    return entry[key]


def _short(value: object) -> str:
    """The beginning of a value's text: a whole one can have megabytes."""
    if isinstance(value, (list, dict)):
        return f"a {type(value).__name__} of {len(value):,}"
    if isinstance(value, int) and abs(value) > 1 << 200:
        return "a number of more than 60 digits"
    text = repr(value[:80] if isinstance(value, str) else value)
    return text if len(text) <= 60 else f"{text[:60]}..."
