"""Stage: dense predictions of the segmentation network (priors sec. 4.2.1)."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wsss_lightning.data.base import SegmentationDataModule, Split
from wsss_lightning.data.masks import write_mask
from wsss_lightning.errors import InputError
from wsss_lightning.methods.priors.stages.fit_segmenter import MakeNetwork, read_segmenter
from wsss_lightning.nn.backbones import Backbone
from wsss_lightning.nn.deeplab import DeepLab, whole_cells
from wsss_lightning.nn.upsampling import Upsampling
from wsss_lightning.ops.resize import resize_maps
from wsss_lightning.progress import track
from wsss_lightning.stages.device import choose_device
from wsss_lightning.stages.io import read_tensors, write_tensors

Size = tuple[int, int]
_UPSAMPLING = "upsampling.safetensors"


def predict_segmenter(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    backbone: Backbone,
    network: MakeNetwork,
    segmenter: str,
    split: Split,
    accelerator: str,
    progress: bool,
) -> None:
    """Label every pixel of the images of `split`; tags are not used.

    Writes `logits/<image_id>.safetensors` (L, h, w) at an eighth of the image in float16, what `read_probabilities`
    needs to up-sample them, and `masks/<image_id>.png` at the image's own size, in the data set's own indices.
    """
    folder, device = Path(out_dir), choose_device(accelerator)
    trained = read_segmenter(Path(segmenter), backbone, network, data).to(device)
    write_upsampling(folder, trained.upsampling)
    images = data.dataset(split)
    missing = [index for index, record in enumerate(images.records) if not _mask(folder, record.image_id).exists()]
    for index in track(missing, description=f"predictions, {split}", total=len(missing), enabled=progress):
        _predict_one(images[index], trained, data, folder)


def _predict_one(sample: dict[str, Any], trained: DeepLab, data: SegmentationDataModule, folder: Path) -> None:
    image_id, image = sample["image_id"], sample["image"][None].to(trained.upsampling.weight.device)
    seen, (height, width) = torch.tensor(image.shape[2:]), sample["size"].tolist()
    with torch.inference_mode():
        coarse = _half(trained.coarse_scores(whole_cells(image))[0], image_id)
        # Labels are those of the stored values, which are all that the CRF sees.
        labels = full_size(coarse, trained.upsampling, seen=seen, size=(height, width)).argmax(dim=0)
    write_tensors(_logits(folder, image_id), {"logits": coarse, "seen": seen})
    write_mask(_mask(folder, image_id), data.decode(labels.cpu().numpy().astype(np.uint8)))


def full_size(coarse: Tensor, upsampling: Upsampling, *, seen: Tensor, size: Size) -> Tensor:
    """Logits (L, h, w) -> (L, *size) float32, as the network gives them for an image of the `seen` height and width.

    Where it saw the image at another size than its own, they are resized bilinearly.
    """
    height, width = seen.tolist()
    return resize_maps(upsampling(coarse.float()[None])[..., :height, :width], size)[0]


def read_probabilities(folder: Path, image_id: str, size: Size) -> Tensor:
    """Softmax of the stored logits of one image at its own `size`, (L, *size)."""
    stored = read_tensors(_logits(folder, image_id))
    with torch.inference_mode():
        logits = full_size(stored["logits"], read_upsampling(folder), seen=stored["seen"], size=size)
        return logits.softmax(dim=0)


def write_upsampling(folder: Path, upsampling: Upsampling) -> None:
    """Keep the learned up-sampling beside the logits."""
    geometry = {"stride": torch.tensor(upsampling.stride), "centre": torch.tensor(upsampling.centre)}
    write_tensors(folder / _UPSAMPLING, {"weight": upsampling.weight, **geometry})


def read_upsampling(folder: Path) -> Upsampling:
    """What `write_upsampling` wrote."""
    stored = read_tensors(folder / _UPSAMPLING)
    weight, stride, centre = stored["weight"], int(stored["stride"]), float(stored["centre"])
    upsampling = Upsampling(num_labels=len(weight), stride=stride, centre=centre)
    upsampling.load_state_dict({"weight": weight})
    return upsampling


def _half(scores: Tensor, image_id: str) -> Tensor:
    if not bool(scores.half().isfinite().all()):
        raise InputError(f"The scores of {image_id} exceed float16, so training diverged: lower the segmenter's rates.")
    return scores.half()


def _mask(folder: Path, image_id: str) -> Path:
    return folder / "masks" / f"{image_id}.png"


def _logits(folder: Path, image_id: str) -> Path:
    return folder / "logits" / f"{image_id}.safetensors"
