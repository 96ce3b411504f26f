"""Untrained models of all methods, as their `fit` stages leave them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image

from wsss_lightning import models
from wsss_lightning.data.masks import palette
from wsss_lightning.data.samples import Normalisation
from wsss_lightning.methods.cam.student import Student
from wsss_lightning.methods.coseg.network import CosegNetwork
from wsss_lightning.methods.coseg.segmenter import CosegModule, mask_loss
from wsss_lightning.methods.patches.module import PatchModule
from wsss_lightning.methods.patches.network import PatchNetwork
from wsss_lightning.methods.points.classifier import PointClassifierModule
from wsss_lightning.methods.priors.segmenter import SegmenterModule, tags_alone
from wsss_lightning.nn.deeplab import deeplab_vgg
from wsss_lightning.nn.vgg import tiny
from wsss_lightning.ops.pooling import pool_mean

NAMES = ["stripe_egg", "ring_brick", "net_star"]
INDICES = [0, 1, 4, 7]  # of a data set with more classes
WEIGHTS = Path(models.__file__).parent / "nn" / "weights" / "tiny.safetensors"
METHODS = ["points", "priors", "coseg", "patches", "cam"]


def save_model(folder: Path, method: str) -> Path:
    """A model with weights that are large enough for its labels to differ."""
    torch.manual_seed(0)
    model = _model(method)
    with torch.no_grad():
        for name, each in model.named_parameters():
            if "backbone" not in name and each.ndim > 1:
                each.copy_(torch.randn_like(each) / each[0].numel() ** 0.5)
        if isinstance(model, PointClassifierModule):  # no label wins everywhere
            images = Normalisation([0.5] * 3, [0.25] * 3)(np.array(picture(32, 48)))[None]
            model.classifier.out.bias -= model(images).mean(dim=(0, 2, 3))
    names, indices = (NAMES[:1], INDICES[:2]) if method == "patches" else (NAMES, INDICES)
    inputs = models.Inputs(
        class_names=names,
        indices=indices,
        palette=palette()[indices].tolist(),
        mean=[0.5] * 3,
        std=[0.25] * 3,
        size={"points": [32, 48], "patches": 24}.get(method),
    )
    models.save(model, folder, inputs=inputs)
    return folder


def _model(method: str) -> pl.LightningModule:
    backbone = tiny(str(WEIGHTS), num_classes=20)
    if method == "points":
        return PointClassifierModule(
            class_names=NAMES, backbone=backbone, grid=(8, 12), global_features=False, hidden=16
        )
    if method == "priors":
        make = partial(deeplab_vgg, fc6_kernel=3, fc6_dilation=2, hidden=16, dropout=0.5)
        loss = partial(tags_alone, sharpness=5.0)
        return SegmenterModule(backbone=backbone, network=make, class_names=NAMES, loss=loss, rates=[1e-3], steps=[1])
    if method == "coseg":
        return CosegModule(
            backbone=backbone,
            network=partial(CosegNetwork, hidden=16, dilation=2, dropout=0.5, branch_hidden=16),
            branch="added",
            num_classes=len(NAMES),
            loss=partial(mask_loss, balance=1.0, present="mask"),
            rates=[1e-3],
            steps=[1],
        )
    if method == "patches":
        network = partial(PatchNetwork, filters=[4, 4, 8, 8], kernels=[4, 3, 5], pools=[3, 2], bounded=False)
        return PatchModule(network=network, pooling=pool_mean, rate=1e-3, target=NAMES[0])
    return Student(backbone=backbone, class_names=NAMES, stride=8, hidden=16, dilation=2)


def picture(height: int, width: int, seed: int = 0) -> Image.Image:
    """Patches of colour."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
