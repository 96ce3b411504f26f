"""COCO's annotation files with one value wrong: every field by every kind of value, sections, identities, outlines."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

from broken_case import Broken

from wsss_lightning.data.coco_annotations import shapeless
from wsss_lightning.data.coco_json import read_annotations
from wsss_lightning.data.coco_masks import paint_objects
from wsss_lightning.errors import InputError

NAN, LONG, HUGE = float("nan"), "x" * 5000, 10**30
WHOLE: dict[str, list[dict[str, Any]]] = {
    "images": [
        {"id": 1, "file_name": "a.jpg", "height": 8, "width": 6},
        {"id": 2, "file_name": "b.jpg", "height": 8, "width": 6},
    ],
    "categories": [{"id": 3, "name": "cat"}, {"id": 4, "name": "dog"}],
    "annotations": [
        {
            "id": 5,
            "image_id": 1,
            "category_id": 3,
            "iscrowd": 0,
            "area": 9.0,
            "segmentation": [[1, 1, 4, 1, 4, 4, 1, 4]],
        }
    ],
}
NUMBERS = {
    "none": None,
    "true": True,
    "nan": NAN,
    "half": 1.5,
    "list": [1],
    "object": {"a": 1},
    "infinite": float("inf"),
}
NO_ID = {**NUMBERS, "empty": ""}
NO_TEXT = {**NUMBERS, "number": 7, "huge": HUGE}
NO_SIDE = {**NUMBERS, "text": "8", "zero": 0, "negative": -8, "huge": HUGE, "fraction": 8.5}
NO_NAME = {"empty": "", "blank": "  ", "background": "Background", "newline": "a\nb"}
NO_FILE = {
    "empty": "",
    "absolute": "/a.jpg",
    "above": "../a.jpg",
    "nul": "a\0.jpg",
    "long": LONG,
    "surrogate": "\ud800",
}
NO_FILE |= {"drive": "C:/a.jpg", "long umlauts": "ä" * 200, "dots": "..", "tab": "a\t.jpg"}
FIELDS: dict[str, dict[str, dict[str, Any]]] = {
    "images": {"id": NO_ID, "file_name": NO_TEXT | NO_FILE, "height": NO_SIDE, "width": NO_SIDE},
    "categories": {"id": NO_ID, "name": NO_TEXT | NO_NAME},
    "annotations": {
        "image_id": NO_ID | {"unknown": 77, "negative": -1, "text": "1", "other text": "a"},
        "category_id": NO_ID | {"unknown": 77, "negative": -1, "text": "3"},
        "iscrowd": {"none": None, "text": "yes", "two": 2, "list": [], "object": {}, "nan": NAN, "long": LONG},
        "area": {"text": "9", "list": [9], "negative": -1, "infinite": float("inf"), "true": True, "object": {}},
    },
}
READ: dict[tuple[str, str], dict[str, Any]] = {  # what is no fault, and how many pixels are painted
    ("images", "height"): {"float": 8.0},
    ("images", "id"): {"float": 1.0},
    ("annotations", "area"): {"none": None, "nan": NAN, "huge": HUGE, "zero": 0},
    ("annotations", "iscrowd"): {"text 0": "0", "false": False, "float": 0.0},
    ("annotations", "id"): {"none": None, "text": "a", "list": [1]},
    ("annotations", "category_id"): {"float": 3.0},
}


def read(path: Path) -> object:
    """All objects of the first image painted, and how many have no outline."""
    content = read_annotations(path, outlines=True)
    size = (content["images"][0]["height"], content["images"][0]["width"])
    try:
        mask = paint_objects(content["annotations"], size=size, indices={3: 1, 4: 2})
    except ValueError as error:  # which `prepare` puts into its sentence
        raise InputError(f"{path}: {error}") from None
    return int((mask > 0).sum()), bool(shapeless(content))


def changed(edit: Callable[[dict[str, Any]], object]) -> str:
    content = deepcopy(WHOLE)
    edit(content)
    return json.dumps(content)


def put(section: str, key: str, value: object) -> str:
    return changed(lambda content: content[section][0].update({key: value}))


def outlined(value: object, size: tuple[int, int] = (8, 6)) -> str:
    def edit(content: dict[str, Any]) -> None:
        content["images"][0] |= dict(zip(("height", "width"), size, strict=True))
        content["annotations"][0]["segmentation"] = value

    return changed(edit)


OUTLINES = {
    "text": "nonsense",
    "number": 5,
    "true": True,
    "flat": [1, 1, 4, 1, 4, 4],
    "odd": [[1, 1, 4, 1, 4, 4, 1]],
    "words": [["a"] * 6],
    "numbers as text": [["1"] * 6],
    "nones": [[None] * 6],
    "trues": [[True] * 6],
    "nested": [[[1, 1], [4, 1], [4, 4], [1, 1], [4, 1], [4, 4]]],
    "points": [[{"x": 1}] * 6],
    "nan": [[NAN] * 6],
    "infinite": [[float("inf")] * 6],
    "far": [[1e9, 1, 1, 1e9, 4, 4]],
    "huge": [[HUGE] * 6],
    "too long for a float": [[10**400] * 6],
    "object among polygons": [{"a": 1}, [1, 1, 4, 1, 4, 4]],
    "polygon as text": ["1,1,4,1,4,4"],
    "no counts": {"size": [8, 6]},
    "no size": {"counts": [48]},
    "empty object": {},
    "size text": {"size": "8x6", "counts": [48]},
    "size swapped": {"size": [6, 8], "counts": [48]},
    "size longer": {"size": [8, 6, 1], "counts": [48]},
    "size huge": {"size": [HUGE, 6], "counts": [48]},
    "counts none": {"size": [8, 6], "counts": None},
    "counts number": {"size": [8, 6], "counts": 48},
    "counts object": {"size": [8, 6], "counts": {"a": 1}},
    "counts words": {"size": [8, 6], "counts": ["48"]},
    "counts nan": {"size": [8, 6], "counts": [NAN, 48]},
    "counts true": {"size": [8, 6], "counts": [True, 47]},
    "counts nested": {"size": [8, 6], "counts": [[48]]},
    "counts short": {"size": [8, 6], "counts": [0, 47]},
    "counts long": {"size": [8, 6], "counts": [0, 49]},
    "counts negative": {"size": [8, 6], "counts": [49, -1]},
    "counts empty": {"size": [8, 6], "counts": []},
    "counts that overflow": {"size": [8, 6], "counts": [2**62] * 4 + [48]},
    "counts beyond 64 bits": {"size": [8, 6], "counts": [2**64, 48 - 2**64]},
    "many empty counts": {"size": [8, 6], "counts": [0] * 100_000},
    "compressed, unterminated": {"size": [8, 6], "counts": "o" * 2_000_000},
    "compressed, a long number": {"size": [8, 6], "counts": "P" * 200_000 + "0"},
    "compressed, many": {"size": [8, 6], "counts": "0" * 2_000_000},
    "compressed, other characters": {"size": [8, 6], "counts": "\u4e2d!\0"},
    "compressed, short": {"size": [8, 6], "counts": "1"},
    "compressed, empty": {"size": [8, 6], "counts": ""},
}
NO_OUTLINE = {"empty": [], "none": None, "box": [[1, 1, 4, 4]], "pairs": [[1, 1], [4, 1], [4, 4]], "empty part": [[]]}


def _fields() -> list[Broken]:
    case = partial(Broken, name="instances.json", read=read)
    bad = [
        case(f"{section} {key} {about}", content=put(section, key, value), refused=r"instances\.json")
        for section, fields in FIELDS.items()
        for key, values in fields.items()
        for about, value in values.items()
    ]
    good = [
        case(f"{section} {key} {about}", content=put(section, key, value), value=(9, False))
        for (section, key), values in READ.items()
        for about, value in values.items()
    ]
    keys = {"images": ("id", "file_name", "height", "width"), "categories": ("id", "name")}
    keys |= {"annotations": ("image_id", "category_id")}
    lacking = [
        case(
            f"{section} without {key}",
            content=changed(lambda c, s=section, k=key: c[s][0].pop(k)),
            refused=f"has no {key}",
        )
        for section, names in keys.items()
        for key in names
    ]
    return [*bad, *good, *lacking]


def _sections() -> list[Broken]:
    case = partial(Broken, name="instances.json", read=read, refused=r"instances\.json")
    values: dict[str, Any] = {
        "none": None,
        "text": "a",
        "number": 5,
        "object": {},
        "list of numbers": [1],
        "list of lists": [[]],
    }
    wrong = [
        case(f"{section} is {about}", content=changed(lambda c, s=section, v=value: c.update({s: v})))
        for section in WHOLE
        for about, value in values.items()
    ]
    absent = [case(f"no {section}", content=changed(lambda c, s=section: c.pop(s))) for section in WHOLE]
    texts = {
        "empty": "",
        "text": "hello",
        "cut": json.dumps(WHOLE)[:-30],
        "two documents": "{}{}",
        "list": "[]",
        "null": "null",
    }
    texts |= {"HTML": "<html></html>", "deep": "[" * 100_000, "digits": "1" * 5000, "JSON lines": "{}\n{}\n"}
    files: list[tuple[str, bytes | str]] = [
        *texts.items(),
        ("UTF-16", json.dumps(WHOLE).encode("utf-16")),
        ("binary", b"\x89\xff"),
    ]
    return [*wrong, *absent, *(case(f"file {about}", content=content) for about, content in files)]


def _identities() -> list[Broken]:
    case = partial(Broken, name="instances.json", read=read)
    edits: dict[str, tuple[Callable[[Any], object], str]] = {
        "no image": (lambda c: c.update(images=[], annotations=[]), "names no image"),
        "one id twice": (lambda c: c["images"][1].update(id=1), r"a\.jpg and b\.jpg both have the id 1"),
        "one id twice, as float": (lambda c: c["images"][1].update(id=1.0), r"a\.jpg and b\.jpg both have the id 1"),
        "one stem twice": (
            lambda c: c["images"][1].update(file_name="x/a.png"),
            r"a\.jpg and x/a\.png both have the id a",
        ),
        "one entry twice": (lambda c: c["images"].append(c["images"][0]), "both have the id 1"),
        "ids as text": (lambda c: [i.update(id=str(i["id"])) for i in c["images"]], r"'1' there \(text is no number\)"),
        "two names of a category": (lambda c: c["categories"][1].update(id=3), "'cat' and 'dog' both have the id 3"),
        "300 categories": (
            lambda c: c["categories"].extend({"id": 9 + i, "name": f"c{i}"} for i in range(300)),
            "302 classes are too many",
        ),
        "an image of gigabytes": (lambda c: c["images"][0].update(height=60_000, width=60_000), "more than 67,108,864"),
    }
    return [case(about, content=changed(edit), refused=sentence) for about, (edit, sentence) in edits.items()]


def _outlines() -> list[Broken]:
    case = partial(Broken, name="instances.json", read=read)
    zigzag = [[0, 0, 0, 1000] * 2000]
    return [
        *(
            case(f"outline {about}", content=outlined(value), refused="annotation 5")
            for about, value in OUTLINES.items()
        ),
        *(case(f"outline {about}", content=outlined(value), value=(0, True)) for about, value in NO_OUTLINE.items()),
        case("outline of a long border", content=outlined(zigzag, (1000, 1000)), refused="border is longer"),
        case("a byte order mark", content="\ufeff" + json.dumps(WHOLE), value=(9, False)),
        case(
            "an object without its outline's key",
            content=changed(lambda c: c["annotations"][0].pop("segmentation")),
            value=(0, True),
        ),
        case(
            "nothing but what is needed",
            content=changed(lambda c: [c["annotations"][0].pop(k) for k in ("id", "area", "iscrowd")]),
            value=(9, False),
        ),
    ]


CASES = [*_fields(), *_sections(), *_identities(), *_outlines()]
