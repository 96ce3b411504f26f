"""Stage: where the backbone's fourth and fifth blocks fire, the built-in foreground prior (priors sec. 3.1.1)."""

from functools import partial
from pathlib import Path

from torch import Tensor

from wsss_lightning.data.base import SegmentationDataModule, Split
from wsss_lightning.methods.priors.activations import ActivationModule, BlockMeans
from wsss_lightning.methods.priors.priors import fuse
from wsss_lightning.nn.backbones import Backbone, check_statistics
from wsss_lightning.stages.fit import MakeTrainer
from wsss_lightning.stages.io import read_tensors, write_tensors
from wsss_lightning.stages.predict import infer, without


def activate(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    backbone: Backbone,
    convolution: int,
    split: Split,
    trainer: MakeTrainer,
    workers: int,
    progress: bool,
) -> None:
    """Store both blocks' mean over channels: `fusion/<image_id>.safetensors`, `conv4` (1, h, w) and `conv5`.

    `convolution`: which of a block, see `fusion_maps`. Tags are not used.
    """
    check_statistics(backbone, data.mean, data.std)
    folder, images = Path(out_dir) / "fusion", data.dataset(split)
    infer(
        ActivationModule(backbone=backbone, convolution=convolution),
        without(images, [folder / f"{record.image_id}.safetensors" for record in images.records]),
        write=partial(_write, folder=folder),
        batch_size=data.inference_batch_size,
        trainer=trainer,
        workers=workers,
        progress=progress,
        description=f"activations, {split}",
    )


def read_fusion(folder: Path, image_id: str, size: tuple[int, int]) -> Tensor:
    """P_f of one image at `size`, (H, W) in 0..1."""
    means = read_tensors(folder / "fusion" / f"{image_id}.safetensors")
    return fuse(means["conv4"][None], means["conv5"][None], size)[0]


def _write(activations: BlockMeans, *, folder: Path) -> None:
    write_tensors(folder / f"{activations.image_id}.safetensors", activations.means)
