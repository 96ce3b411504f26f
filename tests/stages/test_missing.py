from functools import partial
from pathlib import Path

import numpy as np
import pytest

from wsss_lightning.data.base import Record
from wsss_lightning.stages.missing import write_missing


def record(name: str) -> Record:
    return Record(image_id=name, image=Path(f"{name}.jpg"), mask=None, tags=np.zeros(1, bool))


def touch(found: Record, *, folder: Path, text: str) -> None:
    (folder / f"{found.image_id}.png").write_text(text)


@pytest.mark.parametrize("processes", [1, 2])
def test_files_that_are_there_stay(tmp_path: Path, processes: int) -> None:
    folder = tmp_path / "new" / "masks"
    for text, names in (("first", ["a"]), ("second", ["a", "b", "c"])):
        work = partial(touch, folder=folder, text=text)
        write_missing(
            work, [record(name) for name in names], folder, processes=processes, description="", progress=False
        )
    assert {path.stem: path.read_text() for path in folder.iterdir()} == {"a": "first", "b": "second", "c": "second"}
