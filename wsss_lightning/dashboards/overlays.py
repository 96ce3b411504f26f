"""Pictures that a finished stage leaves: photographs with masks of class indices, and drawings such as score maps."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from wsss_lightning.data.images import read_image
from wsss_lightning.data.labels import IGNORE
from wsss_lightning.data.masks import palette, read_mask
from wsss_lightning.data.pickles import read_pickled_arrays
from wsss_lightning.errors import InputError
from wsss_lightning.stages.drawing import Picture, draw_scores

SIDE = 384  # px, of all pictures: a dashboard lays them out by the first one's size
_COUNT = 6  # pictures of a stage that keeps no panels
_WHITE = 255
Mask = NDArray[np.uint8]


@dataclass(frozen=True)
class Overlay:
    """An image and what lies over it: masks of class indices (`SIDE`, `SIDE`), 255 where nothing counts, by name."""

    image_id: str
    image: Picture
    masks: dict[str, Mask]


def class_labels(names: list[str], indices: list[int]) -> dict[int, str]:
    """Class names by index in a mask."""
    return {**dict(zip(indices, names, strict=True)), IGNORE: "ignored"}


def read_classes(folder: Path, data: list[Any]) -> dict[int, str]:
    """Class names by index, from a stage's `classes.json` or the data set that it was given; empty if neither says."""
    path = folder / "classes.json"
    if path.is_file():
        content = json.loads(path.read_text())
        return class_labels(content["names"], content.get("indices") or list(range(len(content["names"]))))
    for source in data:
        return class_labels(["background", *source.class_names], [0, *source.labels.indices.tolist()])
    return {}


def read_overlays(folder: Path, data: list[Any], labels: Mapping[int, str]) -> Iterator[Overlay]:
    """Panels of an evaluation, or else the first pseudo-labels or predictions of a stage (`masks/<image_id>.png`)."""
    panels = sorted(path for path in folder.glob("panels/[!.]*") if (path / "image.png").is_file())
    for panel in panels:
        image = read_image(panel / "image.png")
        masks = {path.stem: _indices(read_image(path), image, labels) for path in sorted(panel.glob("[!.]*.png"))}
        drawn = {name: fitted(mask, IGNORE) for name, mask in masks.items() if mask is not None and name != "image"}
        yield Overlay(panel.name, fitted(image, _WHITE), drawn)
    if not panels:
        for image_id, path, photo in _with_photographs(folder / "masks", "png", data):
            image, mask = read_image(photo), read_mask(path)
            if mask.shape == image.shape[:2]:
                yield Overlay(image_id, fitted(image, _WHITE), {"mask": fitted(mask, IGNORE)})


def read_drawings(folder: Path, data: list[Any], labels: Mapping[int, str]) -> Iterator[tuple[str, str, Picture]]:
    """(kind, image_id, picture) of what a stage drew (`panels/<image_id>/scores.png`) and of its CAMs as heat maps."""
    for path in sorted(folder.glob("panels/[!.]*/[!.]*.png")):
        picture, whole = read_image(path), path.with_name("image.png")
        image = read_image(whole) if whole.is_file() else picture
        if path.stem != "image" and _indices(picture, image, labels) is None:
            yield path.stem, path.parent.name, fitted(picture, _WHITE)
    for image_id, path, photo in _with_photographs(folder / "cams", "npy", data):
        content = read_pickled_arrays(path)
        maps = np.asarray(content.get("high_res", content.get("cam"))) if isinstance(content, dict) else np.empty(0)
        if maps.ndim == 3 and len(maps):
            drawn = draw_scores(read_image(photo), torch.from_numpy(maps.astype(np.float32)))
            yield "cam", image_id, fitted(drawn, _WHITE)


def fitted(array: Mask | Picture, fill: int) -> NDArray[np.uint8]:
    """A picture or a mask of any size shrunk or enlarged into `SIDE` x `SIDE` px, the rest filled up."""
    scale = SIDE / max(array.shape[:2])
    height, width = (max(round(side * scale), 1) for side in array.shape[:2])
    way = Image.Resampling.NEAREST if array.ndim == 2 or scale > 1 else Image.Resampling.BILINEAR
    canvas = np.full((SIDE, SIDE, *array.shape[2:]), fill, np.uint8)
    canvas[:height, :width] = np.asarray(Image.fromarray(array).resize((width, height), way))
    return canvas


def _indices(picture: Picture, image: Picture, labels: Mapping[int, str]) -> Mask | None:
    """The class indices that a picture shows in the palette's colours; None for another size or other colours."""
    if picture.shape != image.shape:
        return None
    codes = picture.astype(np.int64) @ (1, 256, 65536)
    mask = np.full(codes.shape, IGNORE, np.uint8)
    known = np.zeros(codes.shape, bool)
    for index in {*labels, IGNORE}:
        at = codes == palette()[index].astype(np.int64) @ (1, 256, 65536)
        mask[at], known = index, known | at
    return mask if known.all() else None


def _with_photographs(folder: Path, ending: str, data: list[Any]) -> Iterator[tuple[str, Path, Path]]:
    """The first files `<image_id>.<ending>` of a folder, with the photographs of these images."""
    files = sorted(folder.glob(f"[!.]*.{ending}"))
    photographs: dict[str, Path] = {}
    for source in data if files else ():
        for split in ("train", "val", "test"):
            with suppress(InputError):  # the data set has no such list
                photographs |= {record.image_id: record.image for record in source.records(split)}
    shown = ((path.stem, path, photographs[path.stem]) for path in files if path.stem in photographs)
    yield from islice(shown, _COUNT)
