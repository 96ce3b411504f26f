from __future__ import annotations

from pathlib import Path

import pytest

import wsss_lightning
from wsss_lightning import models
from wsss_lightning.errors import InputError
from wsss_lightning.model_files import read_description


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "final.ckpt",
            r"final\.ckpt is a checkpoint of Lightning's: .* such as CosegModule\.load_from_checkpoint; or ",
        ),
        ("weights.pth", r"weights\.pth is a file: give the folder of a finished stage, or one that `wsss export` "),
    ],
)
def test_a_file_in_the_place_of_a_folder_is_told_as_what_it_is(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / name).touch()
    for load in (wsss_lightning.load, models.load, read_description):
        with pytest.raises(InputError, match=message):
            load(tmp_path / name)
