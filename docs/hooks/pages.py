"""A page of the site that is no file in docs/."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Page:
    """`path`: where it lies on the site; `source`: the file of the repository that it shows, None: it is generated."""

    path: str
    text: str
    source: str | None = None
