"""Stage: where the backbone's fourth and fifth blocks fire, the built-in foreground prior (priors sec. 3.1.1)."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from wsss_lightning.data.base import SegmentationDataModule, SegmentationDataset, Split
from wsss_lightning.methods.priors.activations import fusion_maps
from wsss_lightning.methods.priors.priors import fuse
from wsss_lightning.nn.backbones import Backbone, check_statistics
from wsss_lightning.progress import track
from wsss_lightning.stages.device import choose_device
from wsss_lightning.stages.io import read_tensors, write_tensors


def activate(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    backbone: Backbone,
    convolution: int,
    split: Split,
    accelerator: str,
    workers: int,
    progress: bool,
) -> None:
    """Store both blocks' mean over channels: `fusion/<image_id>.safetensors`, `conv4` (1, h, w) and `conv5`.

    `convolution`: which of a block, see `fusion_maps`. Tags are not used.
    """
    check_statistics(backbone, data.mean, data.std)
    device = choose_device(accelerator)
    backbone.to(device)
    folder = Path(out_dir) / "fusion"
    loader = unwritten(data.dataset(split), folder, workers=workers)
    for batch in track(loader, description=f"activations, {split}", total=len(loader), enabled=progress):
        with torch.inference_mode():
            fourth, fifth = fusion_maps(backbone, batch["image"].to(device), convolution=convolution)
        means = {"conv4": fourth[0].mean(dim=0, keepdim=True), "conv5": fifth[0].mean(dim=0, keepdim=True)}
        write_tensors(folder / f"{batch['image_id'][0]}.safetensors", means)


def unwritten(dataset: SegmentationDataset, folder: Path, *, workers: int) -> DataLoader[Any]:
    """The images that have no `<image_id>.safetensors` in `folder` yet, one at a time: they may differ in size."""
    ids = [record.image_id for record in dataset.records]
    missing = [index for index, image_id in enumerate(ids) if not (folder / f"{image_id}.safetensors").exists()]
    return DataLoader(Subset(dataset, missing), batch_size=1, num_workers=workers)


def read_fusion(folder: Path, image_id: str, size: tuple[int, int]) -> Tensor:
    """P_f of one image at `size`, (H, W) in 0..1."""
    means = read_tensors(folder / "fusion" / f"{image_id}.safetensors")
    return fuse(means["conv4"][None], means["conv5"][None], size)[0]
