"""A broken input: what writes it, what reads it, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


def nothing(_: Path) -> None:
    """What writes a missing file."""


@dataclass(frozen=True)
class Broken:
    """`content` is written to a file `name` and read; `refused` is part of the sentence, else `value` is read."""

    about: str
    name: str
    content: bytes | str | Callable[[Path], object]
    read: Callable[[Path], object]
    refused: str | None = None
    value: object = None

    def write(self, folder: Path) -> Path:
        path = folder / self.name
        if isinstance(self.content, bytes):
            path.write_bytes(self.content)
        elif isinstance(self.content, str):
            path.write_bytes(self.content.encode())
        else:
            self.content(path)
        return path
