"""How well each image was segmented in each row of a table, from the matrices that evaluation stages keep of it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsss_lightning.tables.bootstrap import ious, mean_ious
from wsss_lightning.tables.results import Row, Table

LISTED = 1_000  # images in the page's list; it takes about 100 kB then
Fractions = list[float | None]  # one for each of `ImageScores.rows`


@dataclass(frozen=True)
class ImageScore:
    """One image: its mean IoU in each row, over the labels that its truth or its prediction has, and IoU by class.

    `shown`: the classes that its truth shows. IoU are fractions, None where a row was not scored on the image or the
    label occurs in neither mask.
    """

    image_id: str
    shown: list[str]
    mean: Fractions
    by_class: dict[str, Fractions]

    @property
    def told(self) -> dict[str, Any]:
        """What the page filters and orders by, per cent."""
        by_class = {name: [_percent(value) for value in values] for name, values in self.by_class.items()}
        return {"shown": self.shown, "mean": [_percent(value) for value in self.mean], "byClass": by_class}

    @property
    def overall(self) -> float | None:
        """The mean over rows."""
        known = [value for value in self.mean if value is not None]
        return sum(known) / len(known) if known else None


@dataclass(frozen=True)
class ImageScores:
    """All images in the order of the evaluations; `rows`: names of those rows that keep a matrix of each image."""

    rows: list[str]
    images: list[ImageScore]

    @property
    def listed(self) -> list[ImageScore]:
        """Those that a page lists: all, or the worst `LISTED` of more."""
        if len(self.images) <= LISTED:
            return self.images
        worst = set(self.worst(LISTED))
        return [image for image in self.images if image.image_id in worst]

    def of(self, image_id: str) -> ImageScore | None:
        """The score of one image, None where no row was scored on it."""
        return next((image for image in self.images if image.image_id == image_id), None)

    def worst(self, count: int) -> list[str]:
        """The ids of the `count` images that show a class and have the lowest mean over rows."""
        known = [(image.overall, image.image_id) for image in self.images if image.shown]
        return [image_id for overall, image_id in sorted((o, i) for o, i in known if o is not None)[:count]]


@dataclass(frozen=True)
class _Evaluated:
    """What an evaluation kept: labels with background first, image ids, and (N, L, L) matrices."""

    labels: list[str]
    ids: list[str]
    matrices: NDArray[np.int64]


@dataclass(frozen=True)
class _Seen:
    """One image in one row: its mean IoU, IoU of the classes that occur, and the classes that its truth shows."""

    mean: float | None
    by_class: dict[str, float]
    shown: list[str]


def image_scores(table: Table, store: Path) -> ImageScores:
    """The scores of the first seed of every row whose final stage keeps one matrix of all labels for each image."""
    evaluations = {row.name: kept for row in table.rows if (kept := _kept(row, store)) is not None}
    ids = dict.fromkeys(image_id for kept in evaluations.values() for image_id in kept.ids)
    by_row = [_of_row(kept) for kept in evaluations.values()]
    return ImageScores(list(evaluations), [_image(image_id, by_row) for image_id in ids])


def _kept(row: Row, store: Path) -> _Evaluated | None:
    for folder in (store / result.folder for result in row.measured):
        if all((folder / name).is_file() for name in ("confusion.npy", "images.json", "classes.json")):
            labels = json.loads((folder / "classes.json").read_text())["names"]
            ids = json.loads((folder / "images.json").read_text())
            matrices = np.load(folder / "confusion.npy", allow_pickle=False)
            if matrices.shape == (len(ids), len(labels), len(labels)):
                return _Evaluated(labels, ids, matrices)
    return None


def _of_row(kept: _Evaluated) -> dict[str, _Seen]:
    """By image."""
    means, each, present = mean_ious(kept.matrices), ious(kept.matrices), kept.matrices.sum(axis=2) > 0
    by_image = {}
    for index, image_id in enumerate(kept.ids):
        by_class = dict(zip(kept.labels[1:], each[index, 1:].tolist(), strict=True))
        shown = [name for name, there in zip(kept.labels[1:], present[index, 1:].tolist(), strict=True) if there]
        known = {name: value for name, value in by_class.items() if not np.isnan(value)}
        by_image[image_id] = _Seen(None if np.isnan(means[index]) else float(means[index]), known, shown)
    return by_image


def _image(image_id: str, by_row: list[dict[str, _Seen]]) -> ImageScore:
    scores = [row.get(image_id) for row in by_row]
    names = dict.fromkeys(name for score in scores if score is not None for name in score.by_class)
    shown = next((score.shown for score in scores if score is not None), [])
    means = [None if score is None else score.mean for score in scores]
    by_class = {name: [None if score is None else score.by_class.get(name) for score in scores] for name in names}
    return ImageScore(image_id, shown, means, by_class)


def _percent(value: float | None) -> float | None:
    return None if value is None else round(100 * value, 1)
