"""Pictures of the report: those that the final stages keep below `panels/`, shrunk and written into the page."""

import base64
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from wsss_lightning.data.masks import palette
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.contents import names
from wsss_lightning.pipeline.store import RECORD
from wsss_lightning.tables.results import Row, Table

LONG_SIDE = 320  # pixels of an inlined picture
_WHOLE = {"image": "image", "truth": "ground truth"}
_OF_A_ROW = {
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
_SHARED = ("scores", *_WIDE)  # shown once where all rows that draw them draw the same
_WITH_TAGS = [_OF_A_ROW[name] for name in ("scores", "points", "thresholded", "probabilities")]
# All others are label maps in the palette's colours, which neither JPEG nor smoothing may mix.
_BLENDED = {"image", "scores", "points", *_WIDE, "average_cam", "average_truth"}


@dataclass(frozen=True)
class Picture:
    """One inlined picture: what it shows, its `data:` address, its class in the style sheet (labels, wide or none)."""

    what: str
    uri: str
    kind: str


@dataclass(frozen=True)
class Panel:
    """All pictures of one val image: those that every row shares, then those of each row, in the rows' order."""

    image_id: str
    shared: list[Picture]
    rows: list[list[Picture]]


@dataclass(frozen=True)
class Panels:
    """The image panels of a table; `legend` is class names and their colours, #rrggbb."""

    row_names: list[str]
    panels: list[Panel]
    legend: list[tuple[str, str]]

    @property
    def drawn_with_tags(self) -> bool:
        """Whether any picture shows what was made with the knowledge of an image's tags."""
        rows = [panel.shared + picture for panel in self.panels for picture in panel.rows]
        return any(item.what in _WITH_TAGS for row in rows for item in row)


def table_panels(table: Table, store: Path) -> Panels:
    """Panels of the rows whose final stage keeps any, each by its first seed that does."""
    found = [(row.name, folder) for row in table.rows if (folder := _panel_folder(row, store)) is not None]
    folders = [folder for _, folder in found]
    ids = sorted({place.parts[1] for folder in folders for place in _pictures(folder)})
    return Panels(
        row_names=[name for name, _ in found],
        panels=[_panel(image_id, [folder / "panels" / image_id for folder in folders]) for image_id in ids],
        legend=legend(folders[0]) if folders else [],
    )


def _pictures(folder: Path) -> list[PurePosixPath]:
    """Files `panels/<image_id>/<name>.png` of a stage; what else lies there is none of them."""
    places = [PurePosixPath(name) for name in names(folder) if name.startswith("panels/") and name.endswith(".png")]
    return [place for place in places if len(place.parts) == 3]


def _panel_folder(row: Row, store: Path) -> Path | None:
    folders = [store / result.folder for result in row.measured]
    return next((folder for folder in folders if (folder / "panels").is_dir()), None)


def _panel(image_id: str, folders: Sequence[Path]) -> Panel:
    headings = _headings(folders)
    rows = [{name: _picture(folder, name, what) for name, what in headings.items()} for folder in folders]
    drawn = {name: {row[name] for row in rows} - {None} for name in _SHARED}
    # An image that one of several rows has belongs to that row alone.
    shown = len(folders) == 1 or sum(folder.is_dir() for folder in folders) > 1
    common = {name: pictures.pop() for name, pictures in drawn.items() if shown and len(pictures) == 1}
    whole = [_first(folders, name, what) for name, what in _WHOLE.items()]
    return Panel(
        image_id=image_id,
        shared=_there([*whole, *common.values()]),
        rows=[_there(picture for name, picture in row.items() if name not in common) for row in rows],
    )


def _headings(folders: Sequence[Path]) -> dict[str, str]:
    """What a row's pictures show, in the order of their columns; those of other `extra_masks` follow by name."""
    found = {path.stem for folder in folders for path in folder.glob("[!.]*.png")}
    others = sorted(found - _WHOLE.keys() - _OF_A_ROW.keys())
    return _OF_A_ROW | {name: name.replace("_", " ") for name in others}


def _there(pictures: Iterable[Picture | None]) -> list[Picture]:
    return [picture for picture in pictures if picture is not None]


def _first(folders: Sequence[Path], name: str, what: str) -> Picture | None:
    found = (_picture(folder, name, what) for folder in folders)
    return next((picture for picture in found if picture is not None), None)


def _picture(folder: Path, name: str, what: str) -> Picture | None:
    uri = inline(folder / f"{name}.png")
    kind = "wide" if name in _WIDE else "" if name in _BLENDED else "labels"
    return None if uri is None else Picture(what, uri, kind)


def inline(path: Path) -> str | None:
    """A picture file as a `data:` address, its long side at most 320 pixels (wide ones 640); None without a file."""
    if not path.is_file():
        return None
    picture = _open(path)
    labels = path.stem not in _BLENDED
    scale = min(LONG_SIDE * (2 if path.stem in _WIDE else 1) / max(picture.size), 1.0)
    size = (max(round(picture.width * scale), 1), max(round(picture.height * scale), 1))
    picture = picture.resize(size, Image.Resampling.NEAREST if labels else Image.Resampling.LANCZOS)
    stream, kind = io.BytesIO(), "png" if labels else "jpeg"
    picture.save(stream, format=kind, optimize=True, quality=88)
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"


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
