"""Pictures as the page of a report holds them: what each shows, how large, and label maps to be laid over images."""

import base64
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from wsss_lightning.data.masks import palette
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.store import RECORD

LONG_SIDE = 480  # pixels of an inlined picture: what an enlarged one needs
WHOLE = {"image": "image", "truth": "ground truth"}
OF_A_ROW = {
    "scores": "score map",
    "steps": "first steps of diverse sampling, each map on its own scale; red is picked, white was before",
    "points": "sampled points",
    "thresholded": "thresholded score maps",
    "activations": "mean activations of the five blocks and their fusion, each on its own scale",
    "probabilities": "M (class activations), Q (the fusion where M is high) and P (their mix) of each tag",
    "smoothing": "regions, and masks by a CRF of pairs alone and with regions",
    "inference": "probability from 0 (blue) to 1 (red); pixels above the threshold, each alone and by superpixels",
    "average_cam": "mean class activation map",
    "average_truth": "mean place of the objects",
    "before_crf": "before the CRF",
    "prediction": "prediction",
}
_WIDE = ("steps", "activations", "probabilities", "smoothing", "inference")
SHARED = ("scores", *_WIDE)  # shown once where all rows that draw them draw the same
WITH_TAGS = [OF_A_ROW[name] for name in ("scores", "points", "thresholded", "probabilities")]
# All others are label maps in the palette's colours, which neither JPEG nor smoothing may mix.
_BLENDED = {"image", "scores", "points", *_WIDE, "average_cam", "average_truth"}


@dataclass(frozen=True)
class InlinedPicture:
    """One inlined picture: what it shows, its `data:` address, and its kind.

    `labels`: a label map, transparent where it is background, to be laid over the image; `photo`: the image itself;
    `wide`: several pictures in one; `drawn`: any other.
    """

    what: str
    uri: str
    kind: str


def inlined_picture(folder: Path | None, name: str, what: str) -> InlinedPicture | None:
    """The picture `<name>.png` of a folder for the page; None where there is none."""
    uri = None if folder is None else inline(folder / f"{name}.png")
    return None if uri is None else InlinedPicture(what, uri, _kind(name))


def _kind(name: str) -> str:
    if name == "image":
        return "photo"
    return "wide" if name in _WIDE else "drawn" if name in _BLENDED else "labels"


def inline(path: Path) -> str | None:
    """A picture file as a `data:` address, its long side at most 480 pixels (wide ones 960); None without a file."""
    if not path.is_file():
        return None
    opened, kind = _open(path), _kind(path.stem)
    scale = min(LONG_SIDE * (2 if kind == "wide" else 1) / max(opened.size), 1.0)
    size = (max(round(opened.width * scale), 1), max(round(opened.height * scale), 1))
    small = opened.resize(size, Image.Resampling.NEAREST if kind == "labels" else Image.Resampling.LANCZOS)
    return address(_clear(small), "png") if kind == "labels" else address(small, "jpeg")


def address(picture: Image.Image, form: str) -> str:
    """A picture as a `data:` address; `form`: png or jpeg."""
    stream = io.BytesIO()
    picture.save(stream, format=form, optimize=True, quality=88)  # which png ignores
    return f"data:image/{form};base64,{base64.b64encode(stream.getvalue()).decode()}"


def _clear(labels: Image.Image) -> Image.Image:
    """A label map whose background, which is black, lets through what lies below."""
    colours = np.asarray(labels)
    opaque = np.where(colours.any(axis=2, keepdims=True), 255, 0).astype(np.uint8)
    return Image.fromarray(np.concatenate([colours, opaque], axis=2))


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except (OSError, SyntaxError) as error:
        raise InputError(f"{path} is damaged ({error}): delete the stage's folder to compute it again.") from None


def legend(folder: Path) -> list[tuple[str, str]]:
    """Class names and colours (#rrggbb) of a final stage's pictures, from its `classes.json`.

    Pictures show the data set's own indices. Where the file has no `indices` and the stage kept some classes only,
    they are unknown, and there is no legend rather than a wrong one.
    """
    path = folder / "classes.json"
    if not path.is_file():
        return []
    try:
        content = json.loads(path.read_text())
        names = [str(name) for name in content["names"]]
        indices = content.get("indices") or ([] if _keeps_some_classes(folder) else range(len(names)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged ({error}): delete its folder to compute the stage again.") from None
    colours = palette()
    named = [(name, colours[index]) for name, index in zip(names, indices, strict=False)]
    return [(name, f"#{colour.tobytes().hex()}") for name, colour in [*named, ("not counted", colours[255])] if named]


def _keeps_some_classes(folder: Path) -> bool:
    path = folder / RECORD
    record = json.loads(path.read_text()) if path.is_file() else {"node": {}}
    return (record["node"].get("data") or {}).get("classes") is not None
