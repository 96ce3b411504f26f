"""Wrong names are told before torch is imported, which takes longer than all else that such a command does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from wsss_lightning.model_files import DESCRIPTION

_CODE = """
import sys
from wsss_lightning.cli import main
try:
    main()
finally:
    assert not {"torch", "pytorch_lightning"} & set(sys.modules)
"""


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("export clasifier --to onnx --root .", "There is no model clasifier"),
        ("export student --to onnx --root . --out a.pt", "--to onnx writes a .onnx file"),
        ("predict student nosuch.jpg --out out --root .", "There is no picture nosuch.jpg"),
        ("predict student here.jpg --out out --root . --crf deeplab", "There is no CRF deeplab"),
        ("data check vocc", "nearest: voc"),
        ("data check voc --root nosuch", "There is no folder nosuch: give the root of the data set by --root"),
        ("data import masks voc --root nosuch --out out", "There is no folder nosuch"),
        ("evaluate masks voc --root nosuch", "There is no folder nosuch"),
    ],
)
def test_a_wrong_name_is_told_without_torch(tmp_path: Path, command: str, message: str) -> None:
    folder = tmp_path / "store" / "student-0123456789abcdef"
    folder.mkdir(parents=True)
    target = "wsss_lightning.methods.cam.student.Student"
    (folder / DESCRIPTION).write_text(json.dumps({"module": {"_target_": target}, "inputs": {}}))
    (tmp_path / "here.jpg").touch()
    given = [sys.executable, "-c", _CODE, *command.split()]
    done = subprocess.run(given, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
