"""A data set: how its list becomes records."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wsss_lightning.data.reader import Reader
from wsss_lightning.data.samples import Record


@dataclass(kw_only=True)
class PairsReader(Reader):
    """Pictures `<class>_<number>.png` with masks `<class>_<number>_mask.png` beside them."""

    root: Path | str

    def __post_init__(self) -> None:
        self.names = ("disc", "square")

    def read_records(self, list_name: str, *, tagged: bool) -> list[Record]:
        """All pictures, whatever the list."""
        paths = sorted(path for path in Path(self.root).glob("*.png") if "_mask" not in path.name)
        tags = [np.array([path.name.startswith(name) for name in self.names]) for path in paths]
        return [
            Record(image_id=path.stem, image=path, mask=path.with_name(f"{path.stem}_mask.png"), tags=tag)
            for path, tag in zip(paths, tags, strict=True)
        ]
