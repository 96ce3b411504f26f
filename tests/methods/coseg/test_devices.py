"""Training shared by two processes that see two images and one of each step."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import fake_coseg
import numpy as np
import pytest
import torch
from fake_coseg import NETWORK, TRAINER, train
from fake_segmenter import open_voc, write_weak_masks
from safetensors.torch import load_file

from wsss_lightning.data.masks import write_mask
from wsss_lightning.models import WEIGHTS


def learn(folder: Path, name: str, *, devices: int) -> None:
    """Six steps of three images, whose masks differ in how many pixels they label."""
    train(
        folder / name,
        open_voc(folder / "voc"),
        str(folder / "masks"),
        network=partial(NETWORK, dropout=0.0),
        batch_size=3,
        steps=[6, 0],
        trainer=partial(TRAINER, devices=devices),
    )


@pytest.mark.long
def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc")
    write_weak_masks(tmp_path / "masks", data)
    first, *_ = data.records("train")
    rows = np.full((24, 32), 255, np.uint8)
    rows[:9] = 0
    write_mask(tmp_path / "masks" / f"{first.image_id}.png", rows)
    learn(tmp_path, "one", devices=1)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    places = os.pathsep.join([str(Path(fake_coseg.__file__).parent), os.environ.get("PYTHONPATH", str(Path.cwd()))])
    subprocess.run([*command, __file__, str(tmp_path)], check=True, env=os.environ | {"PYTHONPATH": places})
    one, two = (load_file(tmp_path / name / WEIGHTS) for name in ("one", "two"))
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, atol=1e-6, rtol=0)


if __name__ == "__main__":
    learn(Path(sys.argv[1]), "two", devices=2)
