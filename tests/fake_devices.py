"""A test's own file as the program of several processes, and what two trainings have to agree in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from wsss_lightning.models import WEIGHTS


def in_processes(number: int, program: str, folder: Path) -> None:
    """Run the file `program`, which finds these fakes, with `folder` and `number` as its arguments."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(number)]
    places = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", str(Path.cwd()))])
    subprocess.run([*command, program, str(folder), str(number)], check=True, env=os.environ | {"PYTHONPATH": places})


def assert_same_weights(one: Path, two: Path) -> None:
    """The models in two folders differ by 1e-6 at most."""
    first, second = load_file(one / WEIGHTS), load_file(two / WEIGHTS)
    assert first.keys() == second.keys()
    for name, weight in first.items():
        torch.testing.assert_close(second[name], weight, atol=1e-6, rtol=0)
