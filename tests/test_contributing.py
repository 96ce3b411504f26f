"""The worked examples of CONTRIBUTING.md: their files are written, their commands run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [line.removeprefix("$ ") for kind, body in BLOCKS if kind == "console" for line in body.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every block that names a file in its first line, written; and two pictures for the data set."""
    root = tmp_path_factory.mktemp("contributing")
    for kind, body in BLOCKS:
        if kind in {"python", "yaml"}:
            name, _, content = body.removeprefix("# ").partition("\n")
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content)
    (root / "mine" / "__init__.py").write_text("")
    (root / "pairs").mkdir()
    for name in ("disc_1", "square_1"):
        Image.new("RGB", (8, 8)).save(root / "pairs" / f"{name}.png")
        Image.new("P", (8, 8)).save(root / "pairs" / f"{name}_mask.png")
    return root


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_examples_does_what_it_says(folder: Path, command: str) -> None:
    program, *arguments = shlex.split(command)
    assert program == "wsss"
    where = [f"hydra.searchpath=[{folder / 'conf'}]", f"paths.root={folder / 'runs'}"]
    places = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", "wsss_lightning.cli", *arguments, *where],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_there_is_an_example_of_each_kind_of_thing() -> None:
    files = {body.partition("\n")[0].removeprefix("# ") for kind, body in BLOCKS if kind in {"python", "yaml"}}
    for kind in ("ablation", "experiment", "backbone", "tuning", "data", "method"):
        assert any(name.startswith(f"conf/{kind}/") for name in files), kind
