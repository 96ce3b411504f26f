"""What a misspelt choice of a config group was probably meant to be."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

_MISSED = re.compile(r"Could not (?:find|load) '(\w+)/([^']+)'")
_CLOSE = 0.6  # of difflib's ratio
_SHOWN = 3


def nearest(message: str, conf: Path) -> str:
    """`; nearest: NAME, ...` for Hydra's message on a file that is not in a group of `conf`; empty for any other."""
    match = _MISSED.search(message)
    folder = conf / match[1] if match else None
    if match is None or folder is None or not folder.is_dir():
        return ""
    names = [path.relative_to(folder).with_suffix("").as_posix() for path in sorted(folder.rglob("*.yaml"))]
    similar = close(match[2], names)
    return f"; nearest: {', '.join(similar)}" if similar else ""


def close(name: str, names: Iterable[str]) -> list[str]:
    """Those of `names` that are spelt like `name`, in whole or in their last part, the closest first."""
    known = list(names)
    ends = {other: other.rpartition("/")[2] for other in known}
    alike = get_close_matches(name.rpartition("/")[2], ends.values(), n=_SHOWN, cutoff=_CLOSE)
    whole = get_close_matches(name, known, n=_SHOWN, cutoff=_CLOSE)
    parts = [other for end in alike for other in known if ends[other] == end]
    return list(dict.fromkeys([*whole, *parts]))[:_SHOWN]
