from __future__ import annotations

import csv
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from fake_devices import assert_same_weights, in_processes
from fake_skies import TRAINER, open_skies, train
from pytorch_lightning.loggers import CSVLogger

from wsss_lightning import models
from wsss_lightning.data.samples import SegmentationDataset
from wsss_lightning.errors import InputError
from wsss_lightning.methods.patches.stages.fit_patches import MINED, read_patch_module
from wsss_lightning.methods.patches.steps import PatchSteps, divide
from wsss_lightning.methods.pretrain.classifier import PictureClassifier
from wsss_lightning.model_files import DESCRIPTION, WEIGHTS
from wsss_lightning.nn.optimisation import polynomial
from wsss_lightning.nn.vgg import VGG
from wsss_lightning.stages.io import read_tensors


class Killed(pl.Callback):
    """Breaks down in the step `dies_at`."""

    def __init__(self, dies_at: int) -> None:
        self.dies_at = dies_at

    def on_before_backward(self, trainer: pl.Trainer, *_: object) -> None:
        if trainer.global_step == self.dies_at:
            raise RuntimeError("killed")


@pytest.mark.parametrize("dies_at", [1, 5])
def test_killed_and_resumed_gives_the_same_weights(tmp_path: Path, dies_at: int) -> None:
    data = open_skies(tmp_path / "voc")
    whole = train(tmp_path / "whole", data)
    with pytest.raises(RuntimeError, match="killed"):
        train(tmp_path / "parts", data, callbacks={"killed": Killed(dies_at)})
    assert not (tmp_path / "parts" / WEIGHTS).exists()
    assert train(tmp_path / "parts", data) == whole
    assert (tmp_path / "parts" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()


def test_what_is_plain_to_see_is_learned_from_tags_alone(tmp_path: Path) -> None:
    """Without ground truth; the class is where the network says it is."""
    data = open_skies(tmp_path / "voc")
    shutil.rmtree(tmp_path / "voc" / "SegmentationClass")
    logger = CSVLogger(tmp_path, name="logs", flush_logs_every_n_steps=1)
    trainer = partial(pl.Trainer, accelerator="cpu", devices=1, log_every_n_steps=1)
    settings = {"steps": 60, "rate": 0.03, "batch_size": 8, "loggers": {"csv": logger}, "trainer": trainer}
    metrics = train(tmp_path / "out", data, **settings)
    assert metrics["val/tag_ap"] == 1 and metrics["val/tag_accuracy"] > 0.8
    (path,) = (tmp_path / "logs").rglob("metrics.csv")
    with path.open() as stream:
        losses = [float(line["train/loss"]) for line in csv.DictReader(stream) if line["train/loss"]]
    assert np.mean(losses[-6:]) < 0.5 * np.mean(losses[:6])


def test_the_next_round_goes_on_from_the_weights_of_the_last(tmp_path: Path) -> None:
    data = open_skies(tmp_path / "voc")
    train(tmp_path / "first", data)
    first = read_tensors(tmp_path / "first" / WEIGHTS)
    train(tmp_path / "still", data, start=str(tmp_path / "first"), rate=0.0)
    still = read_tensors(tmp_path / "still" / WEIGHTS)
    assert all(torch.equal(first[name], still[name]) for name in first)


def test_the_second_round_draws_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, rounds = open_skies(tmp_path / "voc"), list[PatchSteps]()

    class Kept(PatchSteps):
        def __init__(self, images: SegmentationDataset, **settings: Any) -> None:
            super().__init__(images, **settings)
            rounds.append(self)

    monkeypatch.setattr("wsss_lightning.methods.patches.steps.PatchSteps", Kept)
    train(tmp_path / "first", data)
    train(tmp_path / "second", data, start=str(tmp_path / "first"))
    first, second = ([each.batch(step, rank=0, world=1)["patches"].values for step in range(7)] for each in rounds)
    assert not any(torch.equal(one, other) for one in first for other in second)


def test_mined_patches_are_learned_from(tmp_path: Path) -> None:
    data = open_skies(tmp_path / "voc")
    (tmp_path / "mined").mkdir()
    np.save(tmp_path / "mined" / MINED, np.zeros((9, 11, 11, 3), np.uint8))
    train(tmp_path / "without", data)
    train(tmp_path / "with", data, mined=str(tmp_path / "mined"))
    assert (tmp_path / "with" / WEIGHTS).read_bytes() != (tmp_path / "without" / WEIGHTS).read_bytes()


def test_images_that_are_held_out_are_not_learned_from(tmp_path: Path) -> None:
    data = open_skies(tmp_path / "voc")
    train(tmp_path / "before", data)
    for record in divide(data.records("train"), held_out=0.25, seed=0)[1]:
        shutil.copyfile(data.records("val")[2].image, record.image)
    train(tmp_path / "after", data)
    assert (tmp_path / "before" / WEIGHTS).read_bytes() == (tmp_path / "after" / WEIGHTS).read_bytes()


def test_what_is_read_back_is_what_was_trained(tmp_path: Path) -> None:
    train(tmp_path / "out", open_skies(tmp_path / "voc"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {WEIGHTS, DESCRIPTION}
    module, written = read_patch_module(str(tmp_path / "out")), read_tensors(tmp_path / "out" / WEIGHTS)
    assert all(torch.equal(value, written[name]) for name, value in module.state_dict().items())
    assert not module.training and not any(parameter.requires_grad for parameter in module.parameters())
    inputs = models.read_inputs(tmp_path / "out")
    assert inputs.class_names == ["sun"] and inputs.indices == [0, 1] and inputs.size == 32
    assert inputs.palette == [[0, 0, 0], [128, 0, 0]] and list(inputs.mean) == [0.5] * 3


def test_a_model_of_another_kind_is_named(tmp_path: Path) -> None:
    train(tmp_path / "out", open_skies(tmp_path / "voc"))
    network = partial(VGG, widths=(1,) * 5, fc6_kernel=1, hidden=1)
    other = PictureClassifier(network=network, class_names=["sun"], rate=0.1, weight_decay=0.0)
    models.save(other, tmp_path / "out", inputs=models.read_inputs(tmp_path / "out"))
    with pytest.raises(InputError, match="holds a PictureClassifier: name the folder of a fit_patches stage"):
        train(tmp_path / "next", open_skies(tmp_path / "voc"), start=str(tmp_path / "out"))


def weights(folder: Path) -> torch.Tensor:
    return torch.cat([value.flatten() for value in read_tensors(folder / WEIGHTS).values()])


def test_accumulated_batches_are_one_batch(tmp_path: Path) -> None:
    data, twice = open_skies(tmp_path / "voc"), partial(TRAINER, accumulate_grad_batches=2)
    whole = train(tmp_path / "whole", data, batch_size=4)
    parts = train(tmp_path / "parts", data, batch_size=2, trainer=twice)
    with pytest.raises(RuntimeError, match="killed"):
        train(tmp_path / "killed", data, batch_size=2, trainer=twice, callbacks={"killed": Killed(5)})
    train(tmp_path / "killed", data, batch_size=2, trainer=twice)
    torch.testing.assert_close(weights(tmp_path / "parts"), weights(tmp_path / "whole"), rtol=0, atol=1e-6)
    assert torch.equal(weights(tmp_path / "killed"), weights(tmp_path / "parts"))
    assert parts["val/tag_ap"] == whole["val/tag_ap"]


_PROGRAM = """
import sys
from functools import partial
from pathlib import Path
from fake_skies import TRAINER, open_skies, train
folder, devices = Path(sys.argv[1]), int(sys.argv[2])
train(folder / str(devices), open_skies(folder / "voc"), batch_size=5, trainer=partial(TRAINER, devices=devices))
"""


@pytest.mark.long
@pytest.mark.parametrize("processes", [2, 3])
def test_several_processes_with_uneven_shares_are_one(tmp_path: Path, processes: int) -> None:
    train(tmp_path / "1", open_skies(tmp_path / "voc"), batch_size=5)
    (tmp_path / "program.py").write_text(_PROGRAM)
    in_processes(processes, str(tmp_path / "program.py"), tmp_path)
    assert_same_weights(tmp_path / "1", tmp_path / str(processes))


def test_another_optimiser_and_schedule(tmp_path: Path) -> None:
    data, adam = open_skies(tmp_path / "voc"), partial(torch.optim.Adam, betas=(0.8, 0.9))
    train(tmp_path / "plain", data)
    train(tmp_path / "same", data, optimizer=torch.optim.SGD)
    train(tmp_path / "other", data, optimizer=adam, scheduler=partial(polynomial, power=0.5))
    assert torch.equal(weights(tmp_path / "plain"), weights(tmp_path / "same"))
    assert not torch.allclose(weights(tmp_path / "plain"), weights(tmp_path / "other"))
    assert read_patch_module(str(tmp_path / "other")).hparams["optimizer"]["betas"] == [0.8, 0.9]


def test_an_unknown_class_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no class 'star'"):
        train(tmp_path / "out", open_skies(tmp_path / "voc"), target="star")
