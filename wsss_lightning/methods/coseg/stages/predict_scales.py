"""Stage: dense predictions at several scales, with or without what tags rule out (coseg secs. 3.3 and 4.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsss_lightning.data.base import Record, SegmentationDataModule, Split
from wsss_lightning.data.images import read_image
from wsss_lightning.data.masks import write_mask
from wsss_lightning.data.samples import Normalisation, resize_image
from wsss_lightning.methods.coseg.multi_scale import constrained_labels, mean_at_size, scaled_size
from wsss_lightning.methods.coseg.network import Branch, CosegNetwork
from wsss_lightning.methods.coseg.stages.fit_on_masks import WEIGHTS, MakeNetwork, read_network
from wsss_lightning.nn.backbones import Backbone
from wsss_lightning.nn.deeplab import STRIDE
from wsss_lightning.progress import track
from wsss_lightning.stages.device import choose_device
from wsss_lightning.stages.io import read_tensors, write_tensors


def predict_scales(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    backbone: Backbone,
    network: MakeNetwork,
    branch: Branch | None,
    trained: str,
    split: Split,
    scales: Sequence[float],
    tagged: bool,
    keep: bool,
    accelerator: str,
    progress: bool,
) -> None:
    """Label every pixel of the images of `split`: the best of the mean of the softmax maps at all `scales`.

    `trained`: folder of a `fit_on_masks` or `choose_snapshot` stage; `tagged`: only background and the image's tags
    are possible (eq 2). Writes `masks/<image_id>.png` at the image's own size, in the data set's own indices, and with
    `keep` what `read_probabilities` needs: `maps/<image_id>.safetensors`, the maps at 1/8 of each scale in float16.
    """
    folder, device = Path(out_dir), choose_device(accelerator)
    made = read_network(Path(trained) / WEIGHTS, backbone=backbone, network=network, branch=branch, data=data)
    predictor = Predictor(made.to(device), Normalisation(data.mean, data.std), tuple(scales))
    missing = [record for record in data.records(split) if not _mask(folder, record).exists()]
    for record in track(missing, description=f"predictions, {split}", total=len(missing), enabled=progress):
        image = read_image(record.image)
        maps = predictor.maps(image)
        if keep:
            write_tensors(_maps(folder, record.image_id), {str(number): each for number, each in enumerate(maps)})
        labels = best_labels(maps, image.shape[:2], tags=torch.from_numpy(record.tags) if tagged else None)
        write_mask(_mask(folder, record), data.decode(labels.cpu().numpy().astype(np.uint8)))


@dataclass(frozen=True)
class Predictor:
    """A trained network and the scales at which it sees an image."""

    network: CosegNetwork
    normalise: Normalisation
    scales: tuple[float, ...]

    @torch.inference_mode()
    def maps(self, image: NDArray[np.uint8]) -> list[Tensor]:
        """Softmax of every scale's scores, each (L, h, w) float16."""
        device = next(self.network.parameters()).device
        sizes = [scaled_size(image.shape[:2], scale, stride=STRIDE) for scale in self.scales]
        seen = (self.normalise(resize_image(image, size))[None].to(device) for size in sizes)
        return [self.network(each).pixels[0].softmax(dim=0).half() for each in seen]


@torch.inference_mode()
def best_labels(maps: Sequence[Tensor], size: tuple[int, int], *, tags: Tensor | None) -> Tensor:
    """Labels (*size) of the stored `maps`, which are all that a CRF sees; eq 2 where there are `tags` (C,)."""
    probs = mean_at_size([each.float() for each in maps], size)
    return probs.argmax(dim=0) if tags is None else constrained_labels(probs, tags.to(probs.device))


def read_probabilities(folder: Path, image_id: str, size: tuple[int, int]) -> Tensor:
    """Mean of the stored maps of one image at `size`, (L, *size)."""
    stored = read_tensors(_maps(folder, image_id))
    return mean_at_size([stored[name].float() for name in sorted(stored, key=int)], size)


def _mask(folder: Path, record: Record) -> Path:
    return folder / "masks" / f"{record.image_id}.png"


def _maps(folder: Path, image_id: str) -> Path:
    return folder / "maps" / f"{image_id}.safetensors"
