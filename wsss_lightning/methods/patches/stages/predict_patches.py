"""Stage: how probable the class is at every pixel, from the patch around it (patches sec. 3.3)."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from wsss_lightning.atomic import replace_file
from wsss_lightning.data.base import SegmentationDataModule, Split
from wsss_lightning.data.images import decode, read_image
from wsss_lightning.data.samples import Normalisation, resize_image
from wsss_lightning.methods.patches.network import PatchNetwork, probability
from wsss_lightning.methods.patches.stages.fit_patches import MakePatchNetwork, read_patch_network
from wsss_lightning.ops.resize import resize_maps
from wsss_lightning.progress import track
from wsss_lightning.stages.device import choose_device

_LEVELS = np.iinfo(np.uint16).max


def predict_patches(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    network: MakePatchNetwork,
    trained: str,
    split: Split,
    side: int | None,
    accelerator: str,
    progress: bool,
) -> None:
    """Write p(c = 1) of every pixel: `probabilities/<image_id>.png`, 16-bit greyscale (see `read_probability`).

    Tags are not used. `trained`: folder of a `fit_patches` stage; `side`: px of the shorter side that the network sees
    an image with, None for the image's own size.
    """
    folder, device = Path(out_dir), choose_device(accelerator)
    made, normalise = read_patch_network(Path(trained), network).to(device), Normalisation(data.mean, data.std)
    missing = [record for record in data.records(split) if not _path(folder, record.image_id).exists()]
    for record in track(missing, description=f"probabilities, {split}", total=len(missing), enabled=progress):
        found = pixel_probability(made, read_image(record.image), normalise=normalise, side=side)
        _write(_path(folder, record.image_id), found.cpu().numpy())


@torch.inference_mode()
def pixel_probability(
    network: PatchNetwork, image: NDArray[np.uint8], *, normalise: Normalisation, side: int | None
) -> Tensor:
    """p(c = 1) of every pixel of an image (H, W, 3), (H, W) on the network's device; `side`: see `predict_patches`."""
    size = (image.shape[0], image.shape[1])
    seen = image if side is None else resize_image(image, _shorter(size, side))
    device = network.scores.weight.device
    found = probability(network.dense(normalise(seen)[None].to(device)))
    return resize_maps(found[None], size)[0, 0]


def read_probability(folder: Path, image_id: str) -> NDArray[np.float32]:
    """What `predict_patches` wrote of one image: (H, W) at its own size, in 0..1 to within 1e-5."""
    levels = np.array(decode(_path(folder, image_id)))
    return levels.astype(np.float32) / np.float32(_LEVELS)


def _shorter(size: tuple[int, int], side: int) -> tuple[int, int]:
    """The size of an image whose shorter side becomes `side`."""
    height, width = (round(length * side / min(size)) for length in size)
    return height, width


def _write(path: Path, found: NDArray[np.float32]) -> None:
    picture = Image.fromarray((found * _LEVELS).round().astype(np.uint16))
    replace_file(path, lambda temporary: picture.save(temporary))


def _path(folder: Path, image_id: str) -> Path:
    return folder / "probabilities" / f"{image_id}.png"
