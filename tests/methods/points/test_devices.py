"""A point classifier that several processes train from seven points a step is the one that a single process trains."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from fake_devices import assert_same_weights, in_processes
from fake_hypercolumns import opened, scenes, stored, trainer

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.methods.points.samplers import Points
from wsss_lightning.methods.points.stages.features import FeatureStore
from wsss_lightning.methods.points.stages.fit_classifier import fit_classifier
from wsss_lightning.methods.points.stages.sample import write_points
from wsss_lightning.stages.records import tagged


def learn(folder: Path, data: SegmentationDataModule, devices: int) -> None:
    fit_classifier(
        out_dir=str(folder / str(devices)),
        data=data,
        features=str(folder / "features"),
        points=[str(folder / "points")],
        hidden=16,
        rate=1e-3,
        steps=20,
        epochs=1,
        batch_size=7,
        standardise=True,
        global_features=True,
        seed=0,
        trainer=partial(trainer, devices=devices),
        loggers={},
        workers=0,
        checkpoint_every=8,
        progress=False,
    )


def write_drawn_points(folder: Path, data: SegmentationDataModule) -> None:
    """Five points of each image at any place with any label."""
    store, generator = FeatureStore(folder / "features"), torch.Generator().manual_seed(0)
    height, width = store.grid()
    for record in tagged(data):
        drawn = (torch.randint(most, (5,), generator=generator) for most in (height * width, data.num_classes + 1))
        path = folder / "points" / f"{record.image_id}.safetensors"
        write_points(path, store.read_stored("train", record.image_id), (height, width), Points(*drawn), half=True)


@pytest.mark.long
@pytest.mark.parametrize("processes", [2, 3])
def test_several_processes_learn_what_one_does(tmp_path: Path, processes: int) -> None:
    data = scenes(tmp_path / "scenes")
    stored(tmp_path / "features", data)
    write_drawn_points(tmp_path, data)
    learn(tmp_path, data, 1)
    in_processes(processes, __file__, tmp_path)
    assert_same_weights(tmp_path / "1", tmp_path / str(processes))


if __name__ == "__main__":
    learn(Path(sys.argv[1]), opened(Path(sys.argv[1]) / "scenes"), int(sys.argv[2]))
