"""Stage: dense predictions of the point classifier."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wsss_lightning.data.base import SegmentationDataModule, Split
from wsss_lightning.data.images import image_size
from wsss_lightning.data.masks import write_mask
from wsss_lightning.methods.points.stages.features import FeatureStore
from wsss_lightning.methods.points.stages.fit_classifier import read_classifier
from wsss_lightning.ops.resize import resize_maps
from wsss_lightning.progress import track
from wsss_lightning.stages.io import read_tensors, to_float16, write_tensors


def predict(
    *, out_dir: str, data: SegmentationDataModule, features: str, classifier: str, split: Split, progress: bool
) -> None:
    """Classify every grid location of the images of `split`; tags are not used.

    Writes `logits/<image_id>.safetensors` (L, h, w) at the grid's resolution in float16 and `masks/<image_id>.png`,
    the best label at the image's own size after bilinear resizing of the logits, in the data set's own indices.
    """
    store, folder = FeatureStore(Path(features)), Path(out_dir)
    network = read_classifier(Path(classifier))
    records = data.records(split)
    (folder / "masks").mkdir(parents=True, exist_ok=True)
    for record in track(records, description="predictions", total=len(records), enabled=progress):
        mask = folder / "masks" / f"{record.image_id}.png"
        if not mask.exists():
            seen = store.read(split, record.image_id)
            pooled = seen.pooled if network.whole is not None else seen.pooled[:, :0]
            with torch.inference_mode():
                logits = network.on_image(seen.maps, pooled, store.grid())
            logits = to_float16(logits, what=f"A logit of {record.image_id}")
            write_tensors(folder / "logits" / f"{record.image_id}.safetensors", {"logits": logits})
            labels = full_size(logits, image_size(record.image)).argmax(dim=0)
            write_mask(mask, data.decode(labels.numpy().astype(np.uint8)))


def full_size(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Logits (L, h, w) -> (L, *size) float32, bilinear."""
    return resize_maps(logits.float()[None], size)[0]


def read_probabilities(folder: Path, image_id: str, size: tuple[int, int]) -> Tensor:
    """Softmax of the stored logits of one image at `size`, (L, *size)."""
    logits = read_tensors(folder / "logits" / f"{image_id}.safetensors")["logits"]
    return full_size(logits, size).softmax(dim=0)
