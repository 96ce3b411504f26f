"""Records of images and the dataset that turns them into batches; masks are opened only where they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from wsss_lightning.data.images import image_size, read_image
from wsss_lightning.data.labels import Mask
from wsss_lightning.data.masks import read_mask
from wsss_lightning.errors import InputError
from wsss_lightning.ops.resize import resize_labels

Encode = Callable[[Mask, Path], Mask]
Sample = dict[str, Any]

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # RGB statistics of torchvision's weights
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, eq=False)
class Record:
    """One image of a split: its files and its tags (C,) bool; `mask` is where its mask belongs, if it can have one."""

    image_id: str
    image: Path
    mask: Path | None
    tags: NDArray[np.bool_]


class SegmentationDataset(Dataset[Sample]):
    """Samples with the keys `image`, `tags`, `image_id`, `size` and, if `with_masks`, `mask`.

    Args:
        records: the images, in order.
        encode: turns a mask of the data set into contiguous labels.
        size: (H, W) that images and masks are resized to; None keeps each image's own.
        mean: per channel of RGB in 0..1, subtracted from the image.
        std: per channel, divides it.
        with_masks: open the masks too.

    Raises:
        InputError: an image, or with `with_masks` a mask, does not exist; while reading, a file is damaged.
    """

    def __init__(
        self,
        records: Sequence[Record],
        *,
        encode: Encode,
        size: tuple[int, int] | None = None,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        with_masks: bool = False,
    ) -> None:
        self.records = list(records)
        self.encode = encode
        self.size = size
        self.mean = torch.tensor(mean).view(3, 1, 1)
        self.std = torch.tensor(std).view(3, 1, 1)
        self.with_masks = with_masks
        for record in self.records:
            require_image(record)
            if with_masks:
                require_mask(record)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Sample:
        record = self.records[index]
        image = read_image(record.image)
        sample: Sample = {
            "image": self._normalised(image),
            "tags": torch.tensor(record.tags),
            "image_id": record.image_id,
            "size": torch.tensor(image.shape[:2]),
        }
        if self.with_masks:
            mask = read_target(record, self.encode)
            sample["mask"] = torch.from_numpy(resize_labels(mask, self.size or mask.shape)).long()
        return sample

    def _normalised(self, image: NDArray[np.uint8]) -> Tensor:
        pixels = torch.from_numpy(image).permute(2, 0, 1).float().contiguous() / 255
        if self.size is not None:
            pixels = F.interpolate(pixels[None], self.size, mode="bilinear", antialias=True)[0]
        return (pixels - self.mean) / self.std


def collate(samples: Sequence[Sample]) -> Sample:
    """Stack samples to a batch; `image_id` becomes a list.

    Raises:
        InputError: the images differ in size.
    """
    if len({sample["image"].shape for sample in samples}) > 1:
        raise InputError("the images of a batch differ in size: set the data set's size=[H, W], or batch_size=1.")
    batch: Sample = default_collate(list(samples))
    return batch


def read_target(record: Record, encode: Encode) -> Mask:
    """Read and encode the mask of a record, (H, W) uint8 at the image's own size.

    Raises:
        InputError: the mask is missing or damaged, has another size than the image, or an unknown index.
    """
    path = require_mask(record)
    mask = read_mask(path)
    size = image_size(record.image)
    if mask.shape != size:
        raise InputError(
            f"{path} has size {mask.shape} (H, W), but {record.image} has {size}: use the image's own mask."
        )
    return encode(mask, path)


def require_mask(record: Record) -> Path:
    """Where the mask of a record lies, checked to exist.

    Raises:
        InputError: it does not.
    """
    if record.mask is None or not record.mask.is_file():
        where = record.mask or f"of {record.image}"
        raise InputError(f"the mask {where} does not exist: add it, or choose a list whose images have masks.")
    return record.mask


def require_image(record: Record) -> Record:
    """The record itself, its image checked to exist.

    Raises:
        InputError: it does not.
    """
    if not record.image.is_file():
        raise InputError(f"{record.image} does not exist: fetch the image, or take {record.image_id} off the list.")
    return record
