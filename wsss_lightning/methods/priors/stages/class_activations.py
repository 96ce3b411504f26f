"""Stage: class activation maps of the classes that an image's tags name (priors eq 1)."""

from pathlib import Path

import torch
from torch import Tensor

from wsss_lightning.data.base import SegmentationDataModule, Split
from wsss_lightning.methods.priors.priors import class_activation_maps
from wsss_lightning.methods.priors.stages.activate import unwritten
from wsss_lightning.methods.priors.stages.fit_localization import MakeNetwork, read_localization, resized
from wsss_lightning.nn.backbones import Backbone
from wsss_lightning.ops.resize import resize_maps
from wsss_lightning.progress import track
from wsss_lightning.stages.device import choose_device
from wsss_lightning.stages.io import read_tensors, write_tensors


def class_activations(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    backbone: Backbone,
    network: MakeNetwork,
    localization: str,
    split: Split,
    size: tuple[int, int],
    accelerator: str,
    workers: int,
    progress: bool,
) -> None:
    """Store M_c at the network's resolution: `cams/<image_id>.safetensors`, `cams` (T, h, w) and `present` (T,).

    `present` are the tags' labels 1..C, ascending; `size`: (H, W) in px that the network sees each whole image at.
    """
    folder, device = Path(out_dir) / "cams", choose_device(accelerator)
    made = read_localization(Path(localization), backbone=backbone, network=network, num_classes=data.num_classes)
    made.to(device)
    loader = unwritten(resized(data, split, size), folder, workers=workers)
    for batch in track(loader, description=f"class activations, {split}", total=len(loader), enabled=progress):
        present = batch["tags"][0].nonzero()[:, 0]
        with torch.inference_mode():
            features = made.features(batch["image"].to(device))
            cams = class_activation_maps(features, made.weights[present.to(device)])[0]
        write_tensors(folder / f"{batch['image_id'][0]}.safetensors", {"cams": cams, "present": present + 1})


def read_class_activations(folder: Path, image_id: str, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Maps of one image at `size`, (T, H, W) in any range, and their labels (T,)."""
    stored = read_tensors(folder / "cams" / f"{image_id}.safetensors")
    return resize_maps(stored["cams"][None], size)[0], stored["present"]
