"""The networks of priors without Hydra: Lightning's own trainer gives what the stages give, to the bit."""

from functools import partial
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from fake_segmenter import NETWORK, TRAINER, backbone, open_voc, train, write_weak_masks
from torch import nn

import wsss_lightning
from wsss_lightning.data.masks import read_mask
from wsss_lightning.data.transforms import priors_augmentation
from wsss_lightning.data.voc import VOC_CLASSES
from wsss_lightning.methods.priors.localization import LocalizationModule, sigmoid_cross_entropy
from wsss_lightning.methods.priors.localization_network import localization_vgg
from wsss_lightning.methods.priors.segmenter import SegmenterModule, class_masks
from wsss_lightning.methods.priors.stages.class_activations import class_activations, read_class_activations
from wsss_lightning.methods.priors.stages.fit_localization import fit_localization
from wsss_lightning.metrics.segmentation import confusion_matrix, mean_iou
from wsss_lightning.stages.predict import predict

SIZE = (48, 64)
PLAIN = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
RUN = {"trainer": TRAINER, "workers": 0, "progress": False}


def same(one: nn.Module, other: nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_the_segmenter(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc", pseudo_masks=tmp_path / "masks", steps=7, seed=3)
    masks = write_weak_masks(tmp_path / "masks", data)
    loss = partial(class_masks, sharpness=5.0)
    setting = {"network": NETWORK, "rates": [1e-2, 1e-3], "steps": [4, 3], "seed": 3}
    model = SegmenterModule(backbone=backbone(), class_names=VOC_CLASSES, loss=loss, **setting)  # type: ignore[arg-type]
    trainer = pl.Trainer(max_epochs=1, **PLAIN)  # type: ignore[arg-type]
    trainer.fit(model, datamodule=data)
    trainer.save_checkpoint(tmp_path / "model.ckpt")

    train(tmp_path / "stage", open_voc(tmp_path / "voc"), masks, seed=3)
    assert same(wsss_lightning.load(tmp_path / "stage"), model)
    assert same(SegmenterModule.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True), model)

    (figures,) = trainer.test(model, datamodule=data, verbose=False)
    predictions = [each for batch in trainer.predict(model, datamodule=data) or [] for each in batch]
    predict(out_dir=str(tmp_path / "out"), data=data, model=str(tmp_path / "stage"), split="val", **RUN)  # type: ignore[arg-type]
    confusion = torch.zeros(21, 21, dtype=torch.int64)
    for record, prediction in zip(data.records("val"), predictions, strict=True):
        mask = read_mask(tmp_path / "out" / "masks" / f"{record.image_id}.png")
        assert prediction.image_id == record.image_id and np.array_equal(prediction.labels.numpy(), mask)
        confusion += confusion_matrix(prediction.labels, torch.from_numpy(data.read_target(record)), 21)
    assert figures == {"test/miou": torch.tensor(mean_iou(confusion)).item()}


def test_the_localization_network(tmp_path: Path) -> None:
    augmentation = priors_augmentation(SIZE, frame=(56, 72))
    network = partial(localization_vgg, kernel=3, hidden=8)
    data = open_voc(tmp_path / "voc", size=SIZE, augmentation=augmentation, batch_size=2, steps=5, seed=3)
    setting = {"loss": sigmoid_cross_entropy, "rates": [1e-2, 1e-3], "steps": [3, 2], "seed": 3}
    model = LocalizationModule(backbone=backbone(), network=network, num_classes=20, **setting)  # type: ignore[arg-type]
    trainer = pl.Trainer(max_epochs=1, **PLAIN)  # type: ignore[arg-type]
    trainer.fit(model, datamodule=data)
    trainer.save_checkpoint(tmp_path / "model.ckpt")

    stage = {"augmentation": augmentation, "size": SIZE, "batch_size": 2, "checkpoint_every": 2, "loggers": {}}
    own = open_voc(tmp_path / "voc")
    folder = {"out_dir": str(tmp_path / "stage"), "backbone": backbone(), "network": network}
    fit_localization(data=own, **folder, **setting, **stage, **RUN)  # type: ignore[arg-type]
    assert same(wsss_lightning.load(tmp_path / "stage"), model)
    assert same(LocalizationModule.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True), model)

    (figures,) = trainer.test(model, datamodule=data, verbose=False)
    assert figures.keys() == {"test/miou"} and 0 < figures["test/miou"] < 1
    predictions = [each for batch in trainer.predict(model, datamodule=data) or [] for each in batch]
    class_activations(
        out_dir=str(tmp_path / "out"), data=own, model=str(tmp_path / "stage"), split="val", batch_size=2, **RUN
    )  # type: ignore[arg-type]
    for record, prediction in zip(data.records("val"), predictions, strict=True):
        maps, present = read_class_activations(tmp_path / "out", record.image_id, prediction.stored["cams"].shape[1:])
        assert torch.equal(prediction.stored["cams"], maps) and torch.equal(prediction.stored["present"], present)
        assert prediction.labels.shape == (24, 32)
        assert set(prediction.labels.unique().tolist()) <= {0, *present.tolist()}
