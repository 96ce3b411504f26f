"""Reading graphs that `wsss export` wrote; what they compute is told by test_export.py."""

from pathlib import Path

import pytest

import wsss_lightning
from wsss_lightning.errors import InputError


def test_a_file_that_is_not_there_is_named_not_the_one_beside_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"network\.onnx does not exist"):
        wsss_lightning.load(tmp_path / "network.onnx")


def test_a_graph_without_its_description_is_refused(tmp_path: Path) -> None:
    (tmp_path / "network.onnx").write_bytes(b"")
    with pytest.raises(InputError, match=r"network\.onnx\.json is missing or damaged: keep it beside network\.onnx"):
        wsss_lightning.load(tmp_path / "network.onnx")
