"""The networks of priors without Hydra: Lightning's own trainer gives what the stages give, to the bit."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from fake_segmenter import NETWORK, TRAINER, backbone, open_voc, train, write_weak_masks
from torch import nn

import wsss_lightning
from wsss_lightning.data.masks import read_mask, write_mask
from wsss_lightning.data.transforms import priors_augmentation
from wsss_lightning.data.voc import VOC_CLASSES, VOCDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.methods.priors.localization import LocalizationModule
from wsss_lightning.methods.priors.localization_network import localization_vgg
from wsss_lightning.methods.priors.localization_trunk import localization_trunk
from wsss_lightning.methods.priors.priors import fuse
from wsss_lightning.methods.priors.segmenter import SegmenterModule, class_masks, pixels
from wsss_lightning.methods.priors.stages.activate import activate, read_fusion
from wsss_lightning.methods.priors.stages.class_activations import class_activations, read_class_activations
from wsss_lightning.methods.priors.stages.fit_localization import LOGS as LOGS_OF_TAGS
from wsss_lightning.methods.priors.stages.fit_localization import fit_localization
from wsss_lightning.methods.priors.stages.fit_segmenter import LOGS
from wsss_lightning.metrics.segmentation import confusion_matrix, mean_iou
from wsss_lightning.nn.deeplab_trunk import deeplab_trunk
from wsss_lightning.nn.tag_losses import sigmoid_cross_entropy, softmax_cross_entropy
from wsss_lightning.nn.trunk import Trunk, Variant
from wsss_lightning.stages.predict import predict, read_probabilities
from wsss_lightning.stages.store_maps import store_maps
from wsss_lightning.stages.stored_steps import stored_averages

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

    metrics = train(tmp_path / "stage", open_voc(tmp_path / "voc"), masks, seed=3)
    assert metrics.keys() == LOGS.keys() - {"val/loss"}
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
    metrics = fit_localization(data=own, **folder, **setting, **stage, **RUN)  # type: ignore[arg-type]
    assert metrics.keys() == LOGS_OF_TAGS.keys()
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


def test_both_networks_on_the_stored_maps_of_a_frozen_trunk(tmp_path: Path) -> None:
    """Maps -> localization network -> its activation maps; masks -> segmenter -> predictions: as from images."""
    data = open_voc(tmp_path / "voc")
    maps, val_maps = str(tmp_path / "train"), str(tmp_path / "val")
    for split in ("train", "val"):
        layers = {"shallow": [1.0], "deep": [0.5, 1.0]}
        own = {"split": split, "stride": 8, "layers": layers, "mirror": True}
        store_maps(out_dir=str(tmp_path / split), data=data, backbone=backbone(), **own, **RUN)  # type: ignore[arg-type]

    network = partial(localization_trunk, stride=8, scales=(0.5, 1.0))
    setting = {"loss": softmax_cross_entropy, "rates": [1e-2], "steps": [5], "seed": 3}
    model = LocalizationModule(backbone=backbone(), network=network, num_classes=20, class_names=VOC_CLASSES, **setting)  # type: ignore[arg-type]
    trainer = pl.Trainer(max_epochs=1, use_distributed_sampler=False, **PLAIN)  # type: ignore[arg-type]
    trainer.fit(model, datamodule=stored_averages(data, maps, val_maps, mirror=True, batch_size=2, steps=5, seed=3))
    stage = {"size": None, "augmentation": None, "batch_size": 2, "checkpoint_every": 2, "loggers": {}}
    own = {"out_dir": str(tmp_path / "stage"), "data": data, "backbone": backbone(), "val_maps": val_maps}
    metrics = fit_localization(network=network, maps=maps, **own, **setting, **stage, **RUN)  # type: ignore[arg-type]
    assert same(wsss_lightning.load(tmp_path / "stage"), model)
    assert metrics["val/tag_ap"] == float(trainer.callback_metrics["val/tag_ap"])
    with pytest.raises(InputError, match="Stored maps are read by heads on a trunk alone"):
        fit_localization(
            network=partial(localization_vgg, kernel=3, hidden=8),
            maps=maps,
            **{**own, "backbone": backbone()},
            **setting,
            **stage,
            **RUN,
        )  # type: ignore[arg-type]

    where = {"data": data, "model": str(tmp_path / "stage"), "split": "val", **RUN}
    for name, stored in (("stored", val_maps), ("images", None)):
        shares = class_activations(out_dir=str(tmp_path / name), maps=stored, **where)  # type: ignore[arg-type]
        assert shares.keys() == {"val/empty"}
    look = {"data": data, "backbone": backbone(), "convolution": -1, "split": "val", **RUN}
    activate(out_dir=str(tmp_path / "fused"), maps=val_maps, **look)  # type: ignore[arg-type]
    trunk = Trunk(backbone(), stride=8)
    for record, image in zip(data.records("val"), data.dataset("val"), strict=True):
        read, seen = (
            read_class_activations(tmp_path / name, record.image_id, (24, 32)) for name in ("stored", "images")
        )
        assert torch.equal(read[1], seen[1])
        torch.testing.assert_close(read[0], seen[0], rtol=0.02, atol=0.02)
        shallow, deep = (trunk.enlarge(each, (24, 32)) for each in trunk.look(image["image"][None], Variant()))
        fused = read_fusion(tmp_path / "fused", record.image_id, (24, 32))
        torch.testing.assert_close(fused, fuse(shallow, deep, (24, 32))[0], rtol=0.02, atol=0.02)
    with pytest.raises(InputError, match="Stored maps are the last ones"):
        activate(out_dir=str(tmp_path / "first"), maps=val_maps, **{**look, "convolution": 0})  # type: ignore[arg-type]

    masks = write_weak_masks(tmp_path / "masks", data)
    head = partial(deeplab_trunk, kernel=3, dilation=2, stride=8, hidden=8)
    own = {"network": head, "rates": [1e-2], "steps": [5], "maps": maps, "val_maps": val_maps, "batch_size": 2}
    for loss in (partial(class_masks, sharpness=5.0), partial(pixels, sharpness=5.0)):
        figures = train(
            tmp_path / loss.func.__name__, data, masks, loss=loss, val_masks=masks_of(data, tmp_path), **own
        )
        assert figures["val/loss"] > 0 and 0 <= figures["val/tag_ap"] <= 1
    for name, stored in (("from_maps", val_maps), ("from_images", None)):
        found = {"data": data, "model": str(tmp_path / "pixels"), "split": "val", "stored_maps": stored}
        predict(out_dir=str(tmp_path / name), **found, **RUN)  # type: ignore[arg-type]
    for record in data.records("val"):
        read, seen = (read_probabilities(tmp_path / n, record.image_id, (24, 32)) for n in ("from_maps", "from_images"))
        torch.testing.assert_close(read, seen, rtol=0.02, atol=0.02)


def masks_of(data: VOCDataModule, folder: Path) -> str:
    """Masks of the val images, their first tag throughout."""
    for record in data.records("val"):
        labels = np.full((24, 32), np.argmax([False, *record.tags]), np.uint8)
        write_mask(folder / "val_masks" / f"{record.image_id}.png", data.decode(labels))
    return str(folder / "val_masks")


def test_cross_entropy_of_pixels_is_torchs_and_ignores_255() -> None:
    logits, labels = torch.randn(1, 3, 4, 5), torch.randint(3, (1, 4, 5))
    labels[0, 0] = 255
    present = torch.ones(1, 3, dtype=torch.bool)
    expected = nn.functional.cross_entropy(logits, labels, ignore_index=255)
    torch.testing.assert_close(pixels(logits.softmax(dim=1), present, labels, sharpness=5.0), expected)
