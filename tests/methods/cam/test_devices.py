"""Both trainings shared by two processes, which see two images and one of each step, or by three."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_devices import assert_same_weights, in_processes
from fake_segmenter import TRAINER, backbone, open_voc, write_uneven_masks

from wsss_lightning.methods.cam.stages.fit_student import fit_student
from wsss_lightning.stages.fit_tag_classifier import fit_tag_classifier

LEARNS = ("classifier", "student")


def learn(folder: Path, devices: int) -> None:
    """Six steps of three images, by a trunk whose last block learns, too."""
    out = folder / str(devices)
    data, run = open_voc(folder / "voc"), {"workers": 0, "checkpoint_every": 4, "progress": False, "loggers": {}}
    own: dict[str, Any] = {"data": data, "maps": None, "val_maps": None, "stride": 8, "trunk": "last", "batch_size": 3}
    own |= {"seed": 3, "rate": 1e-3, "trainer": partial(TRAINER, devices=devices, logger=False), **run}
    fit_tag_classifier(
        out_dir=str(out / "classifier"), backbone=backbone(), scales=(1.0,), mirror=False, epochs=6, **own
    )
    head: dict[str, Any] = {"masks": str(folder / "masks"), "hidden": 8, "dilation": 1, "mirror": False, "steps": 6}
    # Adam divides by a gradient's own size: where it is next to nothing, its rounding would be what is compared.
    own |= {"rate": 1e-2, "optimizer": partial(torch.optim.SGD, momentum=0.9)}
    fit_student(out_dir=str(out / "student"), backbone=backbone(), **head, **own)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process, two and three learn, of masks that differ in how many pixels they label."""
    folder = tmp_path_factory.mktemp("devices")
    write_uneven_masks(folder / "masks", open_voc(folder / "voc"))
    learn(folder, 1)
    for processes in (2, 3):
        in_processes(processes, __file__, folder)
    return folder


@pytest.mark.long
@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("model", LEARNS)
def test_several_processes_learn_what_one_does(folder: Path, model: str, processes: int) -> None:
    assert_same_weights(folder / "1" / model, folder / str(processes) / model)


if __name__ == "__main__":
    learn(Path(sys.argv[1]), int(sys.argv[2]))
