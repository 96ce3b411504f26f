import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from fake_hypercolumns import localized, scenes, stored, trainer
from torch import Tensor

from wsss_lightning import load
from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.methods.points.stages import fit_localizers
from wsss_lightning.methods.points.stages.class_shares import Train, join_shares, train_share, validate

PROGRAM = """
import json, sys
from pathlib import Path
import fake_hypercolumns
from functools import partial
import pytorch_lightning as pl
fake_hypercolumns.trainer = partial(pl.Trainer, accelerator="cpu", devices=2)
folder = Path(sys.argv[1])
data = fake_hypercolumns.opened(folder / "scenes")
metrics = fake_hypercolumns.localized(folder / "two", data, str(folder / "features"))
if metrics:
    (folder / "metrics.json").write_text(json.dumps(metrics))
"""


class Counted(pl.Callback):
    """Keeps the number of steps."""

    steps = 0

    def on_train_end(self, runner: pl.Trainer, _: pl.LightningModule) -> None:
        self.steps = runner.global_step


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shares")


@pytest.fixture(scope="module")
def data(folder: Path) -> SegmentationDataModule:
    data = scenes(folder / "scenes")
    stored(folder / "features", data)
    return data


@pytest.fixture(scope="module")
def alone(folder: Path, data: SegmentationDataModule) -> dict[str, float]:
    return localized(folder / "one", data, str(folder / "features"))


def weights(folder: Path) -> dict[str, Tensor]:
    return load(folder).state_dict()


def assert_same(folder: Path) -> None:
    one, two = weights(folder / "one"), weights(folder / "two")
    assert one.keys() == two.keys()
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    assert {path.name for path in (folder / "two").iterdir()} == {"model.json", "model.safetensors"}
    described = [json.loads((folder / name / "model.json").read_text()) for name in ("one", "two")]
    for description in described:
        del description["module"]["steps"]  # those of the first process's classes
    assert described[0] == described[1]


def test_a_second_epoch_goes_through_the_schedule_again(
    tmp_path: Path,
    folder: Path,
    data: SegmentationDataModule,
    alone: dict[str, float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted = Counted()
    monkeypatch.setattr("fake_hypercolumns.trainer", partial(trainer, max_epochs=2, callbacks=[counted]))
    metrics = localized(tmp_path, data, str(folder / "features"))
    once = load(folder / "one").hparams["steps"]
    assert counted.steps == 2 * sum(once) and metrics["train/loss"] != alone["train/loss"]


@pytest.mark.parametrize("world", [2, 3])
def test_processes_that_share_the_classes_train_what_one_does(
    tmp_path: Path,
    folder: Path,
    data: SegmentationDataModule,
    alone: dict[str, float],
    monkeypatch: pytest.MonkeyPatch,
    world: int,
) -> None:
    def shared(
        train: Train, data: SegmentationDataModule, *, features: str, folder: Path, **_: object
    ) -> dict[str, float]:
        for rank in range(world):
            train_share(train, data, folder=folder, trainer=trainer, loggers={}, rank=rank, world=world)
        model, metrics = join_shares(data, folder=folder, world=world)
        return metrics | validate(model, data, features=features, trainer=trainer)

    monkeypatch.setattr(fit_localizers, "share_classes", shared)
    metrics = localized(tmp_path / "two", data, str(folder / "features"))
    (tmp_path / "one").symlink_to(folder / "one")
    assert_same(tmp_path)
    assert metrics["val/tag_ap"] == alone["val/tag_ap"] and metrics.keys() == alone.keys() == fit_localizers.LOGS.keys()


def test_more_processes_than_classes_are_refused(tmp_path: Path, data: SegmentationDataModule) -> None:
    with pytest.raises(InputError, match="3 localizers cannot be shared by 4 devices"):
        train_share(None, data, folder=tmp_path, trainer=trainer, loggers={}, rank=0, world=4)  # type: ignore[arg-type]


@pytest.mark.long
def test_two_processes_train_what_one_does(folder: Path, data: SegmentationDataModule, alone: dict[str, float]) -> None:
    program = folder / "program.py"
    program.write_text(PROGRAM)
    tests = Path(__file__).resolve().parents[3]
    paths = os.pathsep.join([str(tests), str(tests.parent)])
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        str(program),
        str(folder),
    ]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"})
    assert_same(folder)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["val/tag_ap"] == alone["val/tag_ap"]
