"""Pictures of the report: those that the final stages keep below `panels/`, shrunk and written into the page."""

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from wsss_lightning.data.masks import palette
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.store import read_record
from wsss_lightning.tables.results import Row, Table

LONG_SIDE = 320  # pixels of an inlined picture
_WHOLE = {"image": "image", "truth": "ground truth"}
_OF_A_ROW = {"scores": "score map", "points": "sampled points", "prediction": "prediction"}
_LABELS = {"truth", "prediction"}  # drawn in the palette's colours, which neither JPEG nor smoothing may mix


@dataclass(frozen=True)
class Picture:
    """One inlined picture: what it shows and its `data:` address."""

    what: str
    uri: str


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


def table_panels(table: Table, store: Path) -> Panels:
    """Panels of the rows whose final stage keeps any, each by its first seed that does."""
    found = [(row.name, folder) for row in table.rows if (folder := _panel_folder(row, store)) is not None]
    folders = [folder for _, folder in found]
    ids = sorted({path.name for folder in folders for path in (folder / "panels").iterdir() if path.is_dir()})
    return Panels(
        row_names=[name for name, _ in found],
        panels=[_panel(image_id, [folder / "panels" / image_id for folder in folders]) for image_id in ids],
        legend=legend(folders[0]) if folders else [],
    )


def _panel_folder(row: Row, store: Path) -> Path | None:
    folders = [store / result.folder for result in row.measured]
    return next((folder for folder in folders if (folder / "panels").is_dir()), None)


def _panel(image_id: str, folders: Sequence[Path]) -> Panel:
    shared = [_first(folders, name, what) for name, what in _WHOLE.items()]
    rows = [{name: inline(folder / f"{name}.png") for name in _OF_A_ROW} for folder in folders]
    common = rows[0]["scores"]
    if common is not None and all(row["scores"] == common for row in rows):
        shared.append(Picture(_OF_A_ROW["scores"], common))
        rows = [{name: uri for name, uri in row.items() if name != "scores"} for row in rows]
    return Panel(
        image_id=image_id,
        shared=[picture for picture in shared if picture is not None],
        rows=[[Picture(_OF_A_ROW[name], uri) for name, uri in row.items() if uri is not None] for row in rows],
    )


def _first(folders: Sequence[Path], name: str, what: str) -> Picture | None:
    found = (inline(folder / f"{name}.png") for folder in folders)
    return next((Picture(what, uri) for uri in found if uri is not None), None)


def inline(path: Path) -> str | None:
    """A picture file as a `data:` address with a long side of at most 320 pixels, None where there is no file."""
    if not path.is_file():
        return None
    picture = _open(path)
    labels = path.stem in _LABELS
    scale = min(LONG_SIDE / max(picture.size), 1.0)
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
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error}): delete its folder to compute the stage again.") from None
    colours = palette()
    named = [(name, colours[index]) for name, index in zip(names, indices, strict=False)]
    return [(name, f"#{colour.tobytes().hex()}") for name, colour in [*named, ("not counted", colours[255])] if named]


def _keeps_some_classes(folder: Path) -> bool:
    data = (read_record(folder) or {"node": {}})["node"].get("data") or {}
    return data.get("classes") is not None
