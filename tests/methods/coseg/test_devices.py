"""Training shared by two processes, which see two images and one of each step, or by three."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pytest
from fake_coseg import NETWORK, TRAINER, train
from fake_devices import assert_same_weights, in_processes
from fake_segmenter import open_voc, write_uneven_masks


def learn(folder: Path, devices: int) -> None:
    """Six steps of three images, whose masks differ in how many pixels they label."""
    train(
        folder / str(devices),
        open_voc(folder / "voc"),
        str(folder / "masks"),
        network=partial(NETWORK, dropout=0.0),
        batch_size=3,
        steps=[6, 0],
        trainer=partial(TRAINER, devices=devices),
    )


@pytest.mark.long
@pytest.mark.parametrize("processes", [2, 3])
def test_several_processes_learn_what_one_does(tmp_path: Path, processes: int) -> None:
    write_uneven_masks(tmp_path / "masks", open_voc(tmp_path / "voc"))
    learn(tmp_path, 1)
    in_processes(processes, __file__, tmp_path)
    assert_same_weights(tmp_path / "1", tmp_path / str(processes))


if __name__ == "__main__":
    learn(Path(sys.argv[1]), int(sys.argv[2]))
