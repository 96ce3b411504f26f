"""Pictures of the report: those that final stages keep below `panels/` and further ones, shrunk, for the page."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from wsss_lightning.pipeline.contents import names
from wsss_lightning.tables.image_scores import ImageScore, ImageScores, image_scores
from wsss_lightning.tables.pictures import OF_A_ROW, SHARED, WHOLE, WITH_TAGS, InlinedPicture, inlined_picture, legend
from wsss_lightning.tables.results import Row, Table


@dataclass(frozen=True)
class Panel:
    """All pictures of one val image: those that every row shares, then those of each row, in the rows' order.

    `score`: how well the rows found it, None where nothing of the kind was kept.
    """

    image_id: str
    shared: list[InlinedPicture]
    rows: list[list[InlinedPicture]]
    score: ImageScore | None = None

    @property
    def photo(self) -> str | None:
        """The `data:` address of the image itself."""
        return next((picture.uri for picture in self.shared if picture.kind == "photo"), None)

    def by_row(self, names: Sequence[str]) -> list[tuple[str, list[InlinedPicture]]]:
        """The rows that have pictures of this image, and these."""
        return [(name, pictures) for name, pictures in zip(names, self.rows, strict=True) if pictures]


@dataclass(frozen=True)
class Panels:
    """The image panels of a table; `legend` is class names and their colours, #rrggbb.

    `scores` are of all images, `further` is how many of the panels no final stage keeps itself.
    """

    row_names: list[str]
    panels: list[Panel]
    legend: list[tuple[str, str]]
    scores: ImageScores
    further: int = 0

    @property
    def classes(self) -> list[str]:
        """The classes that any of the images shows, by name."""
        return sorted({name for panel in self.panels if panel.score for name in panel.score.shown})

    @property
    def drawn_with_tags(self) -> bool:
        """Whether any picture shows what was made with the knowledge of an image's tags."""
        rows = [panel.shared + own for panel in self.panels for own in panel.rows]
        return any(item.what in WITH_TAGS for row in rows for item in row)


def table_panels(table: Table, store: Path, further: Path | None = None) -> Panels:
    """Panels of the rows whose final stage keeps any, each by its first seed that does; the final stages' own first.

    `further`: a folder with more of them, `<folder of the final stage>/panels/<image_id>/<name>.png`, of images that
    were scored; they follow from the worst on.
    """
    by_row = {row.name: places for row in table.rows if (places := _places(row, store, further))}
    own = {image_id for places in by_row.values() for image_id, place in places.items() if store in place.parents}
    ids = {image_id for places in by_row.values() for image_id in places}
    scores = image_scores(table, store)
    ranked = scores.worst(len(scores.images))
    return Panels(
        row_names=list(by_row),
        panels=[
            _panel(image_id, [places.get(image_id) for places in by_row.values()], scores.of(image_id))
            for image_id in [*sorted(own), *sorted(ids - own, key=ranked.index)]
        ],
        legend=_legend(table, by_row, store),
        scores=scores,
        further=len(ids - own),
    )


def _places(row: Row, store: Path, further: Path | None) -> dict[str, Path]:
    """Where the pictures of each image lie, of the first seed that has any; a final stage's own go before others."""
    roots = [store] if further is None else [further, store]
    for result in row.measured:
        folders = [root / result.folder for root in roots if (root / result.folder / "panels").is_dir()]
        if places := {place.parts[1]: folder / place.parent for folder in folders for place in _pictures(folder)}:
            return places
    return {}


def _pictures(folder: Path) -> list[PurePosixPath]:
    """Files `panels/<image_id>/<name>.png` of a stage; what else lies there is none of them."""
    places = [PurePosixPath(name) for name in names(folder) if name.startswith("panels/") and name.endswith(".png")]
    return [place for place in places if len(place.parts) == 3]


def _legend(table: Table, by_row: Mapping[str, object], store: Path) -> list[tuple[str, str]]:
    folders = [store / result.folder for row in table.rows if row.name in by_row for result in row.measured]
    return next((colours for folder in folders if (colours := legend(folder))), [])


def _panel(image_id: str, places: Sequence[Path | None], score: ImageScore | None) -> Panel:
    folders = [place for place in places if place is not None]
    headings = _headings(folders)
    rows = [{name: inlined_picture(place, name, what) for name, what in headings.items()} for place in places]
    drawn = {name: {row[name] for row in rows} - {None} for name in SHARED}
    # An image that one of several rows has belongs to that row alone.
    shown = len(places) == 1 or len(folders) > 1
    common = {name: pictures.pop() for name, pictures in drawn.items() if shown and len(pictures) == 1}
    whole = [_first(folders, name, what) for name, what in WHOLE.items()]
    return Panel(
        image_id=image_id,
        shared=_there([*whole, *common.values()]),
        rows=[_there(image for name, image in row.items() if name not in common) for row in rows],
        score=score,
    )


def _headings(folders: Sequence[Path]) -> dict[str, str]:
    """What a row's pictures show, in the order of their columns; those of other `extra_masks` follow by name."""
    stems = {path.stem for folder in folders for path in folder.glob("[!.]*.png")}
    others = sorted(stems - WHOLE.keys() - OF_A_ROW.keys())
    return OF_A_ROW | {name: name.replace("_", " ") for name in others}


def _there(pictures: Iterable[InlinedPicture | None]) -> list[InlinedPicture]:
    return [image for image in pictures if image is not None]


def _first(folders: Sequence[Path], name: str, what: str) -> InlinedPicture | None:
    return next(iter(_there(inlined_picture(folder, name, what) for folder in folders)), None)
