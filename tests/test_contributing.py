"""The package of examples/: the commands of CONTRIBUTING.md are run with it, from outside of the project."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from wsss_lightning.data.masks import write_mask

PROJECT = Path(__file__).parents[1]
TEXT = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```console\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [line.removeprefix("$ ") for body in BLOCKS for line in body.splitlines()]
EXAMPLES = sorted(
    path.relative_to(PROJECT).as_posix()
    for pattern in ("conf/**/*.yaml", "mine/[!_]*.py", "tables/*.yaml")
    for path in (PROJECT / "examples").glob(pattern)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package, and two pictures for its data set, in which colours tell the classes."""
    root = tmp_path_factory.mktemp("elsewhere") / "examples"
    shutil.copytree(PROJECT / "examples", root, ignore=shutil.ignore_patterns("__pycache__", "runs"))
    (root / "pairs").mkdir()
    for name, colour in {"disc_1": "red", "square_1": "blue"}.items():
        picture, mask = Image.new("RGB", (32, 32), "grey"), np.zeros((32, 32), np.uint8)
        picture.paste(colour, (8, 8, 24, 24))
        mask[8:24, 8:24] = 1 if name == "disc_1" else 2
        picture.save(root / "pairs" / f"{name}.png")
        write_mask(root / "pairs" / f"{name}_mask.png", mask)
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
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places), "WSSS_TRUST": "mine"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    if "data=pairs" in arguments:
        found = re.search(r"val/miou\W+([\d.]+)", done.stdout)
        assert found is not None and float(found[1]) > 0.8, done.stdout


def test_there_is_an_example_of_each_kind_of_thing_and_the_text_names_every_file() -> None:
    for kind in ("ablation", "experiment", "backbone", "tuning", "data", "method", "optimizer", "callbacks"):
        assert any(name.startswith(f"examples/conf/{kind}/") for name in EXAMPLES), kind
    told = TEXT + (PROJECT / "examples" / "README.md").read_text(encoding="utf-8")
    assert [name for name in EXAMPLES if name.removeprefix("examples/") not in told] == []


def test_the_optimiser_goes_against_the_sign_of_the_mean_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROJECT / "examples"))
    from mine.optimisers import SignDescent

    weight = torch.nn.Parameter(torch.tensor([1.0, -1.0, 2.0]))
    descent = SignDescent([weight], lr=0.5, momentum=0.75)
    for gradient in ([4.0, -1.0, 0.0], [-4.0, -1.0, 0.0]):  # the mean of the first keeps its sign
        weight.grad = torch.tensor(gradient)
        descent.step()
    assert weight.tolist() == [1.0, 0.0, 2.0]
    assert descent.state[weight]["mean"].tolist() == [-0.25, -0.4375, 0.0]
