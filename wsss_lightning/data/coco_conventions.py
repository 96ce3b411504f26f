"""What COCO's label maps, which everyone paints for themselves, can mean, and the record of it beside them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from wsss_lightning.atomic import write_json
from wsss_lightning.data.coco_annotations import COCO_CLASSES
from wsss_lightning.errors import InputError

RECORD = "conversion.json"


class Overlap(StrEnum):
    """Which object a pixel belongs to that lies in several."""

    SMALLEST = "smallest"
    LAST = "last"


class Crowd(StrEnum):
    """What becomes of a region that is annotated as a crowd."""

    IGNORE = "ignore"
    DROP = "drop"


class Ids(StrEnum):
    """Mask indices: 1..80 without gaps, or COCO's own category ids, 80 of 1..90."""

    CONTIGUOUS = "contiguous"
    RAW = "raw"


class Untagged(StrEnum):
    """What becomes of an image without any annotation."""

    KEEP = "keep"
    DROP = "drop"


@dataclass(frozen=True, kw_only=True)
class CocoConvention:
    """How the label maps of a folder were painted; the defaults are those of `wsss data prepare coco`.

    `names`: all classes, in the order of the contiguous indices; empty where a record of an older version says none.
    """

    overlap: Overlap = Overlap.SMALLEST
    crowd: Crowd = Crowd.IGNORE
    ids: Ids = Ids.CONTIGUOUS
    untagged: Untagged = Untagged.KEEP
    names: tuple[str, ...] = COCO_CLASSES

    def __str__(self) -> str:
        names = "of COCO" if self.names == COCO_CLASSES else ", ".join(self.names) or "unsaid"
        values = {**asdict(self), "names": names}
        return ", ".join(f"{name} {value}" for name, value in values.items())


def read_convention(folder: Path) -> CocoConvention | None:
    """The convention recorded in a folder of label maps; None where there is no record.

    Raises:
        InputError: the record is damaged.
    """
    path = folder / RECORD
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return CocoConvention(
            overlap=Overlap(values["overlap"]),
            crowd=Crowd(values["crowd"]),
            ids=Ids(values["ids"]),
            untagged=Untagged(values["untagged"]),
            names=tuple(values.get("names", ())),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path} is no record of a conversion ({error!r}): prepare with --overwrite.") from None


def require_names(folder: Path, names: Sequence[str]) -> None:
    """Raise `InputError` where label maps are recorded to be of other classes than the first of `names`."""
    recorded = read_convention(folder)
    if recorded is not None and recorded.names != tuple(names[: len(recorded.names)]):
        raise InputError(
            f"{folder} was painted with the classes {_first(recorded.names)}, data.names has {_first(names)}: give "
            "data.names their order, or paint again (wsss data prepare ... --names --overwrite)."
        )


def _first(names: Sequence[str], most: int = 8) -> str:
    return ", ".join([*names[:most], *([f"... ({len(names)})"] if len(names) > most else [])])


def write_convention(folder: Path, convention: CocoConvention) -> None:
    """Record how the label maps of a folder are painted, atomically."""
    write_json(folder / RECORD, asdict(convention))
