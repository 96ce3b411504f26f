"""Stage: where the backbone's fourth and fifth blocks fire, the built-in foreground prior (priors sec. 3.1.1)."""

from pathlib import Path

from torch import Tensor

from wsss_lightning.data.base import Record, SegmentationDataModule, Split
from wsss_lightning.data.images import image_size
from wsss_lightning.data.stored_maps import StoredMaps
from wsss_lightning.errors import InputError
from wsss_lightning.methods.priors.activations import ActivationModule
from wsss_lightning.methods.priors.priors import fuse
from wsss_lightning.nn.backbones import Backbone, check_statistics
from wsss_lightning.nn.trunk import enlarge
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
    maps: str | None = None,
) -> None:
    """Store both blocks' mean over channels: `fusion/<image_id>.safetensors`, `conv4` (1, h, w) and `conv5`.

    `convolution`: which of a block, see `fusion_maps`; `maps`: of a `store_maps` stage, which holds the last ones, in
    the place of images. Tags are not used.

    Raises:
        InputError: `maps`, and another convolution than the last.
    """
    check_statistics(backbone, data.mean, data.std)
    folder, images = Path(out_dir) / "fusion", data.dataset(split)
    if maps is not None:
        if convolution != -1:
            raise InputError(f"Stored maps are the last ones: set priors.convolution=-1, not {convolution}.")
        for record in images.records:
            path = folder / f"{record.image_id}.safetensors"
            if not path.exists():
                write_tensors(path, _means(StoredMaps(Path(maps)), record, corners=backbone.on_corners))
        return
    infer(
        ActivationModule(backbone=backbone, convolution=convolution),
        without(images, [folder / f"{record.image_id}.safetensors" for record in images.records]),
        write=lambda image: write_tensors(folder / f"{image.image_id}.safetensors", image.means),
        batch_size=data.inference_batch_size,
        trainer=trainer,
        workers=workers,
        progress=progress,
        description=f"activations, {split}",
    )


def read_fusion(folder: Path, image_id: str, size: tuple[int, int]) -> Tensor:
    """P_f of one image at `size`, (H, W) in 0..1."""
    means = read_tensors(folder / "fusion" / f"{image_id}.safetensors")
    return fuse(means["conv4"][None].float(), means["conv5"][None].float(), size)[0]


def _means(maps: StoredMaps, record: Record, *, corners: bool) -> dict[str, Tensor]:
    """The means of an image's stored maps at its own size, in half precision: every cell where it looked."""
    read = maps.read(record.image_id, ["1/shallow", "1/deep"])
    means = (read[f"1/{layer}"].float().mean(dim=0, keepdim=True) for layer in ("shallow", "deep"))
    size = image_size(record.image)
    whole = [enlarge(mean[None], size, corners=corners)[0].half() for mean in means]
    return dict(zip(("conv4", "conv5"), whole, strict=True))
