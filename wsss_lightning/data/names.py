"""What names may be: classes have a mask index each, images a file each in every artifact."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath

from wsss_lightning.errors import InputError

MAX_CLASSES = 254  # 0 is background, 255 is ignored, and a mask has eight bits
_MAX_BYTES = 240  # of 255 that a file's name may have; the rest is for suffixes
_FOREIGN = re.compile(r"\\|^[A-Za-z]:")  # what leads elsewhere on Windows
_MISSING = {"nan", "null", "none", "n/a", "na", "?", "-"}
_SEPARATORS = re.compile(r"[\s_\-./]+")
_ALTERNATIVES = re.compile(r"[\s_\-./|,;、，；+&]+")


def require_class_names(names: Sequence[object], source: object) -> None:
    """Check that these can be the foreground classes of a data set; `source` is what the message names.

    Raises:
        InputError: one is no text, empty, or called `background`, one is there twice, or there are more than 254.
    """
    for name in names:
        if not isinstance(name, str):
            raise InputError(f"{source}: the class {name!r} is a {type(name).__name__}: write it as text.")
        if not name.strip() or not name.isprintable():
            raise InputError(f"{source}: {name!r} is no name of a class: give it one, or take the class away.")
        if name.strip().casefold() == "background":
            raise InputError(f"{source}: {name!r} is index 0 of every mask and no class of its own: take it away.")
    for name, count in Counter(names).most_common(1):
        if count > 1:
            raise InputError(f"{source}: the class {name!r} is there {count} times: keep one of them.")
    if len(names) > MAX_CLASSES:
        raise InputError(
            f"{source}: {len(names)} classes are too many for masks of 8 bits: keep at most {MAX_CLASSES}."
        )


def doubtful_names(names: Sequence[str]) -> list[str]:
    """Sentences about classes whose names differ in case or separators alone, or join the names of others."""
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(_plain(name), []).append(name)
    same = [f"the classes {', '.join(map(repr, group))} differ" for group in alike.values() if len(group) > 1]
    parts = {name: [part for part in _ALTERNATIVES.split(_plain(name)) if part] for name in names}
    joined = [name for name in names if len(parts[name]) > 1 and {*parts[name]} <= alike.keys()]
    missing = [name for name in names if name.strip().casefold() in _MISSING]
    return [
        *(f"the class {name!r} reads as a missing value: leave the tags of such images empty." for name in missing),
        *(f"{about} in case, separators or Unicode form alone: write them alike if they are one." for about in same),
        *(f"the class {name!r} joins the names of others: separate tags by `;` if it is several." for name in joined),
    ]


def doubtful_ids(image_ids: Iterable[str]) -> list[str]:
    """Sentences about ids that differ in case or Unicode form alone: on many file systems they are one."""
    alike: dict[str, str] = {}
    pairs = [(first, each) for each in image_ids if (first := alike.setdefault(_key(each), each)) != each]
    more = f" ({len(pairs):,} such pairs)" if len(pairs) > 1 else ""
    about = "differ in case or Unicode form alone, and are one on some file systems: rename one"
    return [f"the images {pairs[0][0]!r} and {pairs[0][1]!r} {about}{more}."] if pairs else []


def _plain(name: str) -> str:
    return _SEPARATORS.sub(" ", unicodedata.normalize("NFKC", name).casefold()).strip()


def require_image_id(image_id: str, source: object) -> str:
    """The id itself, checked to be usable as the stem of a file's name; `source` is what the message names.

    Raises:
        InputError: it is empty, a path, too long, or holds characters that no name can have.
    """
    reason = _fault(image_id) or ("it is a path" if "/" in image_id or image_id in (".", "..") else "")
    if reason:
        raise InputError(f"{source}: {_short(image_id)} is no name of an image ({reason}): give it one.")
    return image_id


def require_relative(name: str, source: object) -> str:
    """A file's name below a folder, checked to stay there; `source` is what the message names.

    Raises:
        InputError: it is empty, absolute, leaves the folder, or cannot be a file's name.
    """
    path = PurePosixPath(name)
    reason = next((fault for fault in map(_fault, path.parts) if fault), "")
    if not path.name or path.is_absolute() or PureWindowsPath(name).drive or ".." in path.parts:
        reason = "it is empty, absolute or leaves its folder"
    if reason:
        raise InputError(f"{source}: {_short(name)} is no file below its folder ({reason}): give its name there.")
    return name


def _fault(name: str) -> str:
    if not name.strip():
        return "it is empty"
    if not name.isprintable() and any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        return "it holds control characters"
    if _FOREIGN.search(name):
        return "it holds a backslash or a drive"
    return f"it is longer than {_MAX_BYTES} bytes" if len(name) > 60 and len(name.encode()) > _MAX_BYTES else ""


def _short(name: str) -> str:
    return repr(name if len(name) <= 60 else f"{name[:60]}...")


def require_distinct_ids(images: Iterable[tuple[str, object]], source: object) -> None:
    """Check that no two images (id, file) of a list share an id, under which their results would be stored.

    Raises:
        InputError: two do; the message names both files.
    """
    first: dict[str, object] = {}
    for image_id, file in images:
        if image_id in first:
            raise InputError(
                f"{source}: {first[image_id]} and {file} both have the id {image_id}, which names their results: "
                "rename one, or take it away."
            )
        first[image_id] = file


def near_name(path: Path) -> str | None:
    """A file beside a missing one with nearly its name, another case, suffix or Unicode form, in words; else None."""
    folder = path.parent
    try:
        names = _names(folder, folder.stat().st_mtime_ns)
    except (OSError, ValueError):
        return None
    name = names.get(_key(path.name)) or names.get(_key(path.stem))
    if name is None or name == path.name:
        return None
    alike = unicodedata.normalize("NFC", name) == unicodedata.normalize("NFC", path.name)
    return f"{name!r} in another Unicode form (NFC, NFD)" if alike else repr(name)


@lru_cache(maxsize=4)
def _names(folder: Path, _changed: int) -> dict[str, str]:
    """The files of a folder by name and by stem."""
    files = sorted(path.name for path in folder.iterdir())
    return {_key(PurePosixPath(name).stem): name for name in files} | {_key(name): name for name in files}


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
