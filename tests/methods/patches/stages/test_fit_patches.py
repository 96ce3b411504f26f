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
from fake_skies import NETWORK, open_skies, train
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor

from wsss_lightning.data.samples import SegmentationDataset
from wsss_lightning.errors import InputError
from wsss_lightning.methods.patches.stages.fit_patches import MINED, new_patch_network, read_patch_network
from wsss_lightning.methods.patches.steps import PatchSteps, divide
from wsss_lightning.ops.pooling import pool_log_sum_exp
from wsss_lightning.stages.io import read_tensors

WEIGHTS = "patches.safetensors"


class Killed:
    """A pooling that breaks down at its `dies_at`-th call."""

    def __init__(self, dies_at: int) -> None:
        self.left = dies_at

    def __call__(self, scores: Tensor) -> Tensor:
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("killed")
        return pool_log_sum_exp(scores, 1.0)


@pytest.mark.parametrize("dies_at", [1, 5])
def test_killed_and_resumed_gives_the_same_weights(tmp_path: Path, dies_at: int) -> None:
    data = open_skies(tmp_path / "voc")
    whole = train(tmp_path / "whole", data)
    with pytest.raises(RuntimeError, match="killed"):
        train(tmp_path / "parts", data, pooling=Killed(dies_at))
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

    monkeypatch.setattr("wsss_lightning.methods.patches.stages.fit_patches.PatchSteps", Kept)
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
    network, written = read_patch_network(tmp_path / "out", NETWORK), read_tensors(tmp_path / "out" / WEIGHTS)
    assert all(torch.equal(value, written[name]) for name, value in network.state_dict().items())
    assert not network.training and not any(parameter.requires_grad for parameter in network.parameters())
    with pytest.raises(InputError, match="does not fit PatchNetwork"):
        read_patch_network(tmp_path / "out", partial(NETWORK, filters=(4, 4, 8, 9)))


def test_weights_are_a_function_of_the_seed() -> None:
    one, same, other = (new_patch_network(NETWORK, start=None, seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)


def test_an_unknown_class_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no class 'star'"):
        train(tmp_path / "out", open_skies(tmp_path / "voc"), target="star")
