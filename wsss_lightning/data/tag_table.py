"""Tags of one's own images, as a CSV file that a spreadsheet can write."""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path, PurePosixPath

from wsss_lightning.data.names import require_class_names, require_image_id, require_relative
from wsss_lightning.errors import InputError, obstacle

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
_MOST = 20  # columns that a message names
_COLUMNS = ("image", "tags", "split")
_REMEDY = "write `image,tags` above lines such as `a.jpg,cat;dog`"
_OTHER_SEPARATORS = (",", "|", "；", "，", "、", "\t", "\n")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TagRow:
    """A line of the file: the image and its classes as written there, and its list where there is such a column.

    `own_id`: the image's id where it is not its name.
    """

    line: int
    image: str
    tags: frozenset[str]
    split: str | None
    own_id: str | None = None

    @property
    def image_id(self) -> str:
        """The image's name without folder and suffix, or its own id."""
        if self.own_id is not None:
            return self.own_id
        path = PurePosixPath(self.image)
        return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else path.name


@dataclass(frozen=True)
class TagTable:
    """The file, its classes in the order of the mask indices and its lines; `divided`: they name the image's list."""

    path: Path
    names: tuple[str, ...]
    rows: tuple[TagRow, ...]
    divided: bool

    def find(self, image_id: str, *, listed_in: Path) -> TagRow:
        """The line of an image.

        Raises:
            InputError: there is none; `listed_in` is the list that the message names.
        """
        if image_id not in self._by_id:
            raise InputError(f"{listed_in} names {image_id}, which {self.path} does not: give its tags there.")
        return self._by_id[image_id]

    @cached_property
    def _by_id(self) -> dict[str, TagRow]:
        return {row.image_id: row for row in self.rows}


def read_tags(path: Path, *, names: Sequence[str] | None) -> TagTable:
    """Read a CSV file with a header and one line per image; further columns beside `tags` are not looked at.

    - `image`: its name below the folder of images, with or without suffix; the stem is its id.
    - `tags`: its classes, separated by `;`; empty where it shows none. In place of it: a column of 0 and 1 per class.
    - `split`: the list that the image is in; may be left out.

    Args:
        path: the file, in UTF-8.
        names: the classes that there are. None: those that the file names, and the log says so; the tags in
            alphabetical order, columns in theirs.

    Raises:
        InputError: the file cannot be read, has other columns, names no image or one id twice, or another class.
    """
    header, lines = _read_lines(path)
    columns = () if "tags" in header else tuple(name for name in header if name not in ("image", "split"))
    if "image" not in header or not ("tags" in header or columns):
        raise InputError(f"{path} has the columns {_shown(header)}: {_REMEDY}.")
    _require_header(header, path)
    rows = tuple(_row(line, fields, columns, path, names=names or ()) for line, fields in lines)
    _require_distinct(rows, path)
    known = tuple(names or columns or sorted({tag for row in rows for tag in row.tags}))
    require_class_names(known, path)
    _require_known(rows, {*columns}, known, path)
    table = TagTable(path, known, rows, divided="split" in header)
    if names is None:
        _require_divided(rows, path)
        say_classes(table)
    return table


def say_classes(table: TagTable) -> None:
    """Log the order of the classes, once."""
    known = ", ".join(table.names)
    _say_once(f"{table.path}: the classes, by mask index from 1 on, are {known}; data.names gives another order.")


def _read_lines(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True, strict=True)
            return list(reader.fieldnames or ()), [(reader.line_num, fields) for fields in reader]
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: {_REMEDY} there.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is no text in UTF-8: save it so, or, where it is no CSV at all, {_REMEDY}.") from None
    except (OSError, csv.Error) as error:
        raise obstacle(path, error) or InputError(f"{path} cannot be read as CSV ({error}): {_REMEDY}.") from error


def _shown(names: Sequence[str]) -> str:
    """Some columns in one line, whatever is in their names."""
    more = f" and {len(names) - _MOST:,} more" if len(names) > _MOST else ""
    return (", ".join(repr(name)[1:-1][:80] for name in names[:_MOST]) or "(none)") + more


def _require_header(header: Sequence[str], path: Path) -> None:
    for number, name in enumerate(header, 1):
        if not name.strip():
            raise InputError(f"{path}: column {number} has no name: take it away (pandas: to_csv(index=False)).")
        plain = name.strip().casefold()
        if plain in _COLUMNS and name != plain:
            raise InputError(f"{path}: the column {name!r} would not be read: call it {plain!r}.")
    name, count = Counter(header).most_common(1)[0] if header else ("", 0)
    if count > 1:
        raise InputError(f"{path} has {count} columns {name!r}: keep one of them.")


def _row(line: int, fields: dict[str, str], columns: Sequence[str], path: Path, *, names: Sequence[str]) -> TagRow:
    where = f"{path}, line {line}"
    # What `DictReader` makes of a line that is longer or shorter than the header.
    if None in fields or None in fields.values():
        raise InputError(f"{where} has not one value per column: separate columns by commas and tags by `;`.")
    image = require_relative(fields["image"].rstrip(), where)
    tags = _columns_with_one(fields, columns, where) if columns else _split(fields["tags"], where, names=names)
    row = TagRow(line, image, tags, fields["split"].strip() if "split" in fields else None)
    require_image_id(row.image_id, where)
    return row


def _split(cell: str, where: str, *, names: Sequence[str]) -> frozenset[str]:
    tags = frozenset(filter(None, map(str.strip, cell.split(";"))))
    for tag in tags - {*names}:
        if other := next((mark for mark in _OTHER_SEPARATORS if mark in tag), None):  # would be one class of this name
            raise InputError(f"{where}: the tags {cell[:80]!r} are separated by {other!r}: separate them by `;`.")
    return tags


def _require_divided(rows: Sequence[TagRow], path: Path) -> None:
    """Refuse a tag of several words each of which is a tag, too: most likely they are divided by spaces."""
    words = {tag for row in rows for tag in row.tags if len(tag.split()) == 1}
    for row in rows:
        for tag in sorted(row.tags):
            if len(tag.split()) > 1 and words.issuperset(tag.split()):
                raise InputError(
                    f"{path}, line {row.line}: the tags {tag!r} are separated by ' ': separate them by `;`, or say by "
                    "data.names that it is a class."
                )


def _columns_with_one(fields: dict[str, str], columns: Sequence[str], where: str) -> frozenset[str]:
    for name in columns:
        if fields[name] not in ("0", "1"):
            raise InputError(f"{where}: {_shown([name])} is {fields[name]!r}, not 0 or 1: correct it, or {_REMEDY}.")
    return frozenset(name for name in columns if fields[name] == "1")


def _require_distinct(rows: Sequence[TagRow], path: Path) -> None:
    if not rows:
        raise InputError(f"{path} names no image: {_REMEDY}.")
    first: dict[str, int] = {}
    for row in rows:
        if first.setdefault(row.image_id, row.line) != row.line:
            raise InputError(
                f"{path}, lines {first[row.image_id]} and {row.line}: both images have the id {row.image_id}, which "
                "names their results: keep one line, or rename a file."
            )


def _require_known(rows: Sequence[TagRow], columns: set[str], known: Sequence[str], path: Path) -> None:
    for line, tags in [(1, columns), *((row.line, row.tags) for row in rows)]:
        if unknown := sorted(tags - set(known)):
            raise InputError(
                f"{path}, line {line}: {unknown[0]!r} is none of {', '.join(known)}: correct it or add it to names."
            )


@cache
def _say_once(message: str) -> None:
    """Every stage opens its data anew."""
    log.info(message)
