import csv
import shutil
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from fake_coseg import NETWORK, TRAINER, train
from fake_segmenter import backbone, open_voc, write_weak_masks
from pytorch_lightning.loggers import CSVLogger
from safetensors.torch import load_file

from wsss_lightning import models
from wsss_lightning.data.base import SegmentationDataset
from wsss_lightning.data.masks import write_mask
from wsss_lightning.data.pseudo_masks import with_pseudo_masks
from wsss_lightning.data.transforms import crop_augmentation
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.methods.coseg.frozen_network import FrozenNetwork
from wsss_lightning.methods.coseg.stages.fit_on_masks import SNAPSHOTS
from wsss_lightning.methods.coseg.stages.predict_scales import predict_scales
from wsss_lightning.model_files import DESCRIPTION, WEIGHTS
from wsss_lightning.stages.predict import read_probabilities
from wsss_lightning.stages.store_maps import store_maps


class Killed(pl.Callback):
    """Breaks training down before the batch `dies_at`."""

    def __init__(self, dies_at: int) -> None:
        self.dies_at = dies_at

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, index: int) -> None:
        if index == self.dies_at:
            raise RuntimeError("killed")


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("dies_at", [1, 5])
def test_killed_and_resumed_gives_the_same_weights(tmp_path: Path, dies_at: int, parts: int) -> None:
    data = open_voc(tmp_path / "voc")
    masks = write_weak_masks(tmp_path / "masks", data)
    settings = {"snapshot_every": 3, "batch_size": 1, "trainer": partial(TRAINER, accumulate_grad_batches=parts)}
    whole = train(tmp_path / "whole", data, masks, **settings)
    with pytest.raises(RuntimeError, match="killed"):
        train(tmp_path / "parts", data, masks, callbacks={"killed": Killed(dies_at)}, **settings)
    assert not (tmp_path / "parts" / WEIGHTS).exists()
    assert train(tmp_path / "parts", data, masks, **settings) == whole
    for folder in (".", f"{SNAPSHOTS}/000003", f"{SNAPSHOTS}/000006"):
        for name in (WEIGHTS, DESCRIPTION):
            assert (tmp_path / "parts" / folder / name).read_bytes() == (
                tmp_path / "whole" / folder / name
            ).read_bytes()
    assert len(list((tmp_path / "whole" / SNAPSHOTS).iterdir())) == 2


def test_accumulated_batches_are_one_large_batch(tmp_path: Path) -> None:
    """To rounding; masks differ in how many pixels they label, so that a mean of means would be another number."""
    data = open_voc(tmp_path / "voc")
    masks = write_weak_masks(tmp_path / "masks", data)
    first, *_ = data.records("train")
    rows = np.full((24, 32), 255, np.uint8)
    rows[:9] = 0
    write_mask(tmp_path / "masks" / f"{first.image_id}.png", rows)
    settings = {"network": partial(NETWORK, dropout=0.0), "steps": [4, 0]}
    train(tmp_path / "whole", data, masks, batch_size=2, **settings)
    trainer = partial(TRAINER, accumulate_grad_batches=2)
    train(tmp_path / "parts", data, masks, batch_size=1, trainer=trainer, **settings)
    whole, parts = (load_file(tmp_path / name / WEIGHTS) for name in ("whole", "parts"))
    for name, weight in whole.items():
        torch.testing.assert_close(parts[name], weight, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("branch", [None, "added"])
def test_the_loss_goes_down(tmp_path: Path, branch: Literal["added"] | None) -> None:
    data = open_voc(tmp_path / "voc")
    masks = write_weak_masks(tmp_path / "masks", data)
    logger = CSVLogger(tmp_path, name="logs", flush_logs_every_n_steps=1)
    trainer = partial(pl.Trainer, accelerator="cpu", devices=1, log_every_n_steps=1)
    settings = {"steps": [45, 5], "loggers": {"csv": logger}, "trainer": trainer, "branch": branch}
    train(tmp_path / "out", data, masks, network=partial(NETWORK, dropout=0.0), **settings)
    (path,) = (tmp_path / "logs").rglob("metrics.csv")
    with path.open() as stream:
        losses = [float(line["train/loss"]) for line in csv.DictReader(stream) if line["train/loss"]]
    assert np.mean(losses[-6:]) < 0.8 * np.mean(losses[:6])


def test_only_images_with_a_mask_are_learned_from(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc")
    masks = write_weak_masks(tmp_path / "masks", data)
    first, *others = data.records("train")
    assert train(tmp_path / "all", data, masks)["train/images"] == len(others) + 1
    (tmp_path / "masks" / f"{first.image_id}.png").unlink()
    assert train(tmp_path / "some", data, masks)["train/images"] == len(others)
    for record in others:
        (tmp_path / "masks" / f"{record.image_id}.png").unlink()
    with pytest.raises(InputError, match="there is no image to train on"):
        train(tmp_path / "none", data, masks)


def test_ground_truth_is_not_opened(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc")
    masks = write_weak_masks(tmp_path / "masks", data)
    before = train(tmp_path / "with", data, masks)
    for name in ("SegmentationClass", "SegmentationClassAug"):
        shutil.rmtree(tmp_path / "voc" / name)
    assert train(tmp_path / "without", open_voc(tmp_path / "voc"), masks) == before


def test_training_goes_on_from_the_weights_of_another_stage(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc")
    masks = write_weak_masks(tmp_path / "masks", data)
    train(tmp_path / "first", data, masks)
    train(tmp_path / "second", data, masks, start=str(tmp_path / "first"), rates=[0.0], steps=[2])
    first, second = (load_file(tmp_path / name / WEIGHTS) for name in ("first", "second"))
    assert all(torch.equal(second[name], value) for name, value in first.items())
    with pytest.raises(InputError, match="does not fit CosegModule"):
        train(tmp_path / "third", data, masks, start=str(tmp_path / "first"), network=partial(NETWORK, hidden=4))


def test_what_is_left_is_a_whole_model(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc")
    train(tmp_path / "out", data, write_weak_masks(tmp_path / "masks", data), new_layers=10.0)
    model, stored = models.load(tmp_path / "out"), load_file(tmp_path / "out" / WEIGHTS)
    assert all(torch.equal(stored[name], value) for name, value in model.state_dict().items())
    assert not model.training and not any(p.requires_grad for p in model.parameters())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [DESCRIPTION, WEIGHTS]
    assert models.read_inputs(tmp_path / "out").class_names == list(data.class_names)


def masked(data: VOCDataModule, masks: Path, **settings: Any) -> SegmentationDataset:
    records = with_pseudo_masks(data.records("train"), masks, missing="drop")
    return SegmentationDataset(records, encode=data.encode, with_masks=True, **settings)


def test_masks_are_in_the_data_sets_own_indices(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc", classes=["bird", "aeroplane"])
    mask = np.array([[0, 1, 3, 2, 255]], np.uint8).repeat(24, axis=0)
    for record in data.records("train"):
        write_mask(tmp_path / "masks" / f"{record.image_id}.png", np.resize(mask, (24, 32)))
    shown = masked(data, tmp_path / "masks")[0]["mask"]
    assert set(shown.unique().tolist()) == {0, 1, 2, 255}


def test_a_crop_knows_the_labels_of_its_whole_mask(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc", classes=["bird", "aeroplane"])
    mask = np.full((24, 32), 255, np.uint8)
    mask[:, :2], mask[:, -2:] = 3, 1  # no crop of 8 x 8 px holds both
    for record in data.records("train"):
        write_mask(tmp_path / "masks" / f"{record.image_id}.png", mask)
    images = masked(data, tmp_path / "masks", augmentation=crop_augmentation((8, 8), scale=(1.0, 1.0)))
    for step in range(4):
        sample = images.at(0, step=step)
        assert sample["shown"].nonzero()[:, 0].tolist() == [1, 2, 255]
        assert len(set(sample["mask"].unique().tolist()) - {255}) < 2


FROZEN = partial(FrozenNetwork, stride=8, hidden=8, dilation=1, dropout=0.5, branch_hidden=8)


def stored(folder: Path, data: VOCDataModule, split: Literal["train", "val"]) -> str:
    layers: dict[str, list[float]] = {"shallow": [1.0], "deep": [0.5, 1.0]}
    settings: dict[str, Any] = {"stride": 8, "layers": layers, "mirror": True, "trainer": TRAINER}
    common: dict[str, Any] = {"data": data, "backbone": backbone(), "split": split, "workers": 0, "progress": False}
    store_maps(out_dir=str(folder), **common, **settings)
    return str(folder)


def test_a_frozen_trunk_is_trained_and_looked_at_through_its_stored_maps(tmp_path: Path) -> None:
    """The head learns, the trunk does not; predictions of stored maps are those of the images."""
    data = open_voc(tmp_path / "voc")
    masks = write_weak_masks(tmp_path / "masks", data)
    maps = {"maps": stored(tmp_path / "maps", data, "train"), "val_maps": stored(tmp_path / "val", data, "val")}
    metrics = train(tmp_path / "out", data, masks, network=FROZEN, augmentation=None, rates=[1e-2], steps=[5], **maps)
    assert 0 <= metrics["val/tag_ap"] <= 1 and metrics["train/images"] == len(data.records("train"))
    model: Any = models.load(tmp_path / "out")
    fresh = FROZEN(backbone(), num_labels=21, branch="added", generator=torch.Generator().manual_seed(0))
    same = {name: torch.equal(value, fresh.state_dict()[name]) for name, value in model.network.state_dict().items()}
    assert all(equal for name, equal in same.items() if name.startswith("trunk."))
    assert not any(same[name] for name in ("context.weight", "out.bias", "branch.6.bias", "detail.weight"))
    settings: dict[str, Any] = {"data": data, "model": str(tmp_path / "out"), "split": "val", "scales": [0.5, 1.0]}
    settings |= {"tagged": False, "keep": True, "trainer": TRAINER, "workers": 0, "progress": False}
    predict_scales(out_dir=str(tmp_path / "seen"), **settings)
    predict_scales(out_dir=str(tmp_path / "stored"), maps=maps["val_maps"], **settings)
    for record in data.records("val"):
        probs = [read_probabilities(tmp_path / name, record.image_id, (24, 32)) for name in ("seen", "stored")]
        torch.testing.assert_close(probs[0], probs[1], atol=5e-3, rtol=0)
        torch.testing.assert_close(probs[0].sum(dim=0), torch.ones(24, 32))


def test_other_classes_are_refused(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc")
    other = open_voc(tmp_path / "voc", classes=["cat", "dog"])
    masks = write_weak_masks(tmp_path / "masks", data)
    with pytest.raises(InputError, match=r"choose a source of the same classes, or set source\.classes"):
        train(tmp_path / "out", data, masks, held_out=other)
    assert not (tmp_path / "out").exists()
