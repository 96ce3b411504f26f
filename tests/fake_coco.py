"""A tiny COCO 2014 in its real layout, with every kind of outline that its files have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coder

from wsss_lightning.data.coco_annotations import COCO_CLASSES, COCO_IDS

SMALL, LARGE, BESIDE = (slice(6, 12), slice(6, 12)), (slice(2, 16), slice(2, 20)), (slice(2, 8), slice(22, 28))
CROWD = (slice(0, 24), slice(0, 4))


def write_coco(root: Path, *, train: int = 5, val: int = 2, test: int = 1, size: tuple[int, int] = (24, 32)) -> None:
    """Write a COCO 2014 folder, without label maps.

    Image number n of train and val shows the categories of index n - 1 (`LARGE` and `BESIDE`, one object of two
    polygons) and n: an object `SMALL`, which stands first in the file and lies inside `LARGE`, and a `CROWD`, whose
    run lengths are compressed where n is even. The last image of each list has no annotation. Images of the test list
    stand in an image_info file.

    Args:
        root: the folder, which will hold `annotations`, `train2014`, `val2014` and `test2014`.
        train: images of train2014.
        val: images of val2014.
        test: images of test2014.
        size: (H, W) of the images in px, at least (24, 32).
    """
    categories = [{"id": i, "name": name} for i, name in zip(COCO_IDS, COCO_CLASSES, strict=True)]
    for name, count in {"train2014": train, "val2014": val, "test2014": test}.items():
        images = [_write_image(root / name, f"COCO_{name}_{n:012d}.jpg", n, size) for n in range(1, count + 1)]
        content: dict[str, Any] = {"info": {}, "images": images, "categories": categories}
        if name != "test2014":
            content["annotations"] = [found for n in range(1, count) for found in _objects(n, size)]
        kind = "image_info" if name == "test2014" else "instances"
        path = root / "annotations" / f"{kind}_{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))


def _write_image(folder: Path, file_name: str, number: int, size: tuple[int, int]) -> dict[str, object]:
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8)).save(folder / file_name)
    return {"id": number, "file_name": file_name, "height": size[0], "width": size[1]}


def _objects(number: int, size: tuple[int, int]) -> list[dict[str, object]]:
    outlines: list[tuple[int, dict[str, object]]] = [
        (number, {"iscrowd": 0, "area": 36.0, "segmentation": [rectangle(SMALL)]}),
        (number - 1, {"iscrowd": 0, "area": 288.0, "segmentation": [rectangle(LARGE), rectangle(BESIDE)]}),
        (number, {"iscrowd": 1, "area": 96.0, "segmentation": runs(CROWD, size, compressed=number % 2 == 0)}),
    ]
    return [
        {"id": 10 * number + k, "image_id": number, "category_id": COCO_IDS[index], **outline}
        for k, (index, outline) in enumerate(outlines)
    ]


def rectangle(region: tuple[slice, slice]) -> list[float]:
    """A polygon [x, y, x, y, ...] of exactly the pixels of rows and columns `region`."""
    (top, bottom), (left, right) = ((float(part.start), float(part.stop)) for part in region)
    return [left, top, right, top, right, bottom, left, bottom]


def runs(region: tuple[slice, slice], size: tuple[int, int], *, compressed: bool) -> dict[str, object]:
    """COCO's run lengths of rows and columns `region`, as a list or as pycocotools compresses them."""
    inside = np.zeros(size, np.uint8, order="F")
    inside[region] = 1
    if compressed:
        return {"size": list(size), "counts": coder.encode(inside)["counts"].decode()}
    changes = np.flatnonzero(np.diff(inside.ravel(order="F"), prepend=0, append=2))
    return {"size": list(size), "counts": np.diff(changes, prepend=0).tolist()}
