"""A reader of data that says what it reads, for the pipeline's tests: `_target_: fake_readers.read`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILES_READ = "fake_readers.files"


def read(*, root: str, name: str = "one", size: int = 3) -> dict[str, Any]:
    """A data set that consists of `name.list`, the images that it names and the masks of these."""
    return {"root": root, "name": name, "size": size}


@dataclass(frozen=True)
class Files:
    """See `wsss_lightning.pipeline.readings.Reading`."""

    root: Path
    index: tuple[str, ...]

    def files(self) -> Iterator[tuple[tuple[str, ...], bool]]:
        for name in self.index:
            for image in (self.root / name).read_text().split():
                yield (f"{image}.jpg",), False
                yield (f"{image}.png", f"{image}.gif"), True


def files(*, root: Path, name: str, asked: frozenset[str]) -> Files:
    """`more` is read by a stage that asks for it."""
    return Files(root, tuple(f"{word}.list" for word in (name, *({"more"} & asked))))
