import csv
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_segmenter import NETWORK, open_voc, train, write_weak_masks
from PIL import Image
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor

from wsss_lightning.data.masks import read_mask, write_mask
from wsss_lightning.errors import InputError
from wsss_lightning.methods.priors.segmenter import class_masks, foreground_masks, tags_alone
from wsss_lightning.models import WEIGHTS, load
from wsss_lightning.nn.optimisation import polynomial
from wsss_lightning.opened import recorded
from wsss_lightning.stages.io import read_tensors


@dataclass
class Killed:
    """A loss that breaks down after `left` calls."""

    left: int

    def __call__(self, probs: Tensor, present: Tensor, labels: Tensor | None) -> Tensor:
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("killed")
        return class_masks(probs, present, labels, sharpness=5.0)


@pytest.mark.parametrize("dies_at", [1, 5])
def test_killed_and_resumed_gives_the_same_weights(tmp_path: Path, dies_at: int) -> None:
    data = open_voc(tmp_path / "voc")
    masks = write_weak_masks(tmp_path / "masks", data)
    whole = train(tmp_path / "whole", data, masks)
    with pytest.raises(RuntimeError, match="killed"):
        train(tmp_path / "parts", data, masks, loss=Killed(dies_at))
    assert not (tmp_path / "parts" / WEIGHTS).exists()
    resumed = train(tmp_path / "parts", data, masks)
    assert resumed == whole
    assert (tmp_path / "parts" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()


def test_masks_of_the_data_set_count_as_ground_truth_whatever_they_are_given_as(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc")
    masks = write_weak_masks(tmp_path / "masks", data)
    with recorded() as weak:
        train(tmp_path / "weak", open_voc(tmp_path / "voc"), masks)
    with recorded() as strong:
        train(tmp_path / "strong", open_voc(tmp_path / "voc"), str(tmp_path / "voc" / "SegmentationClass"), workers=1)
    assert weak.ground_truth() == {}
    assert strong.ground_truth() == {"train": len(data.records("train"))}


def test_the_loss_goes_down(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc", train_list="train")
    masks = write_weak_masks(tmp_path / "masks", data)
    logger = CSVLogger(tmp_path, name="logs", flush_logs_every_n_steps=1)
    settings = {"steps": [45, 5], "loggers": {"csv": logger}}
    train(tmp_path / "out", data, masks, network=partial(NETWORK, dropout=0.0), **settings)
    (path,) = (tmp_path / "logs").rglob("metrics.csv")
    with path.open() as stream:
        losses = [float(line["train/loss"]) for line in csv.DictReader(stream) if line["train/loss"]]
    assert np.mean(losses[-6:]) < 0.8 * np.mean(losses[:6])


def test_ground_truth_is_not_opened(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc")
    masks = write_weak_masks(tmp_path / "masks", data)
    before = train(tmp_path / "with", data, masks)
    for name in ("SegmentationClass", "SegmentationClassAug"):
        shutil.rmtree(tmp_path / "voc" / name)
    assert train(tmp_path / "without", open_voc(tmp_path / "voc"), masks) == before


def test_the_masks_of_a_folder_take_the_place_of_the_ground_truth(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc", classes=["bicycle", "aeroplane"], pseudo_masks=tmp_path / "masks")
    write_weak_masks(tmp_path / "masks", data)
    sample = data.train_dataset()[0]
    assert read_mask(tmp_path / "masks" / f"{sample['image_id']}.png")[0, 0] == 2  # the data set's index of bicycle
    assert sample["mask"][:, :16].unique().tolist() == [1]
    assert not sample["mask"][:, 16:].any()


def test_foreground_masks_may_name_a_class_that_is_not_kept(tmp_path: Path) -> None:
    """0 and 1 are no classes: with index 1 left out, 1 is still foreground."""
    data = open_voc(tmp_path / "voc", classes=["bicycle"], pseudo_masks=tmp_path / "masks")
    for record in data.records("train"):
        write_mask(tmp_path / "masks" / f"{record.image_id}.png", np.eye(24, 32, dtype=np.uint8))
    labels = data.train_dataset()[0]["mask"][None]
    probs, present = torch.rand(1, 2, 24, 32).softmax(dim=1), torch.tensor([[True, True]])
    expected = foreground_masks(probs, present, torch.eye(24, 32)[None].long(), sharpness=5.0)
    assert torch.equal(foreground_masks(probs, present, labels, sharpness=5.0), expected)


def test_tags_alone_need_no_masks(tmp_path: Path) -> None:
    metrics = train(tmp_path / "out", open_voc(tmp_path / "voc"), None, loss=partial(tags_alone, sharpness=5.0))
    assert 0 <= metrics["val/tag_ap"] <= 1 and metrics["train/loss"] > 0


def test_images_of_several_sizes_are_a_batch_each_or_resized(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc")
    masks = write_weak_masks(tmp_path / "masks", data)
    record = data.records("train")[0]
    Image.new("RGB", (40, 21)).save(record.image)
    write_mask(tmp_path / "masks" / f"{record.image_id}.png", np.zeros((21, 40), np.uint8))
    train(tmp_path / "single", data, masks)
    with pytest.raises(InputError, match=r"differ in size: set .*batch_size=1"):
        train(tmp_path / "several", open_voc(tmp_path / "voc", batch_size=3), masks)
    train(tmp_path / "resized", open_voc(tmp_path / "voc", batch_size=3, size=(16, 24)), masks)
    train(tmp_path / "own", data, masks, batch_size=3, size=[16, 24])
    ours, theirs = (read_tensors(tmp_path / name / WEIGHTS) for name in ("own", "resized"))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_a_missing_mask_is_named(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc")
    masks = write_weak_masks(tmp_path / "masks", data)
    (tmp_path / "masks" / "2007_000002.png").unlink()
    with pytest.raises(InputError, match=r"2007_000002\.png does not exist"):
        train(tmp_path / "out", data, masks)


def test_what_is_loaded_is_what_was_trained(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc")
    train(tmp_path / "out", data, write_weak_masks(tmp_path / "masks", data))
    model, written = load(tmp_path / "out"), read_tensors(tmp_path / "out" / WEIGHTS)
    assert written.keys() == model.state_dict().keys()
    assert all(torch.equal(value, written[name]) for name, value in model.state_dict().items())
    assert not model.training and not any(parameter.requires_grad for parameter in model.parameters())
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"model.json", WEIGHTS}


def test_an_optimiser_and_a_schedule_of_ones_own(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc")
    settings = {"optimizer": torch.optim.Adam, "scheduler": partial(polynomial, power=0.5), "new_layers": 10.0}
    train(tmp_path / "out", data, None, loss=partial(tags_alone, sharpness=5.0), **settings)
    model = load(tmp_path / "out")
    optimisation = model.configure_optimizers()
    assert isinstance(optimisation["optimizer"], torch.optim.Adam)
    slow, fast = optimisation["optimizer"].param_groups
    assert [id(each) for each in fast["params"]] == [id(each) for each in model.segmenter.fc8.parameters()]
    assert (slow["lr"], fast["lr"]) == (0.01, 0.1)


def test_the_backbones_statistics_are_asked_for(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc", mean=(0.4, 0.5, 0.5))
    with pytest.raises(InputError, match="weights expect"):
        train(tmp_path / "out", data, None)
