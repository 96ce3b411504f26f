"""Records of images and the dataset that turns them into batches; masks are opened only where they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from wsss_lightning.data.images import image_size, orientation, read_image
from wsss_lightning.data.labels import Mask
from wsss_lightning.data.masks import read_mask
from wsss_lightning.data.names import near_name, require_image_id
from wsss_lightning.data.transforms import augment
from wsss_lightning.errors import InputError
from wsss_lightning.opened import note_masks
from wsss_lightning.ops.resize import resize_labels

if TYPE_CHECKING:
    import albumentations as A

Encode = Callable[[Mask, Path], Mask]
Sample = dict[str, Any]
Size = tuple[int, int] | int | None  # (H, W), or the shorter side alone, in px; None for an image's own
Arrays = dict[str, NDArray[np.uint8]]  # `image` (H, W, 3) and, if it is asked for, `mask` (H, W)

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # RGB statistics of torchvision's weights
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, eq=False)
class Record:
    """One image of a split: its files and its tags (C,) bool; `mask` is where its mask belongs, if it can have one."""

    image_id: str
    image: Path
    mask: Path | None
    tags: NDArray[np.bool_]

    def __post_init__(self) -> None:
        require_image_id(self.image_id, self.image)  # every stage names files by it, whatever it was read from


class Normalisation:
    """An RGB image (H, W, 3) uint8 as the tensor (3, H, W) float32 that a network sees: (value / 255 - mean) / std.

    Args:
        mean: per channel, in 0..1.
        std: per channel, in 0..1.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean, self.std = torch.tensor(mean).view(3, 1, 1), torch.tensor(std).view(3, 1, 1)
        values = torch.arange(256.0).expand(3, 1, 256)
        self._table = values.div(255).sub_(self.mean).div_(self.std).numpy()

    def __call__(self, image: NDArray[np.uint8]) -> Tensor:
        """See the class."""
        return self.batch(image[None])[0]

    def batch(self, images: NDArray[np.uint8]) -> Tensor:
        """Images (N, H, W, 3) at their own size -> (N, 3, H, W)."""
        normalised = np.empty((len(images), 3, *images.shape[1:3]), np.float32)
        # Looked up, not computed: the same bits in a third of the time (experiments/speed/loader.py).
        for image, planes in zip(images, normalised, strict=True):
            for channel, plane in enumerate(cv2.split(image)):
                cv2.LUT(plane, self._table[channel], dst=planes[channel])
        return torch.from_numpy(normalised)

    def where_they_are(self, images: Tensor) -> Tensor:
        """The same of images (N, H, W, 3) uint8 on any device, to the bit: looked up there, too."""
        table = torch.from_numpy(self._table).reshape(3, 256).to(images.device)
        channels = torch.arange(3, device=images.device).view(1, 3, 1, 1)
        return table[channels, images.permute(0, 3, 1, 2).long()]


@dataclass(frozen=True, eq=False)
class Pixels:
    """Images before they are normalised, (H, W, 3) or (N, H, W, 3) uint8: a fourth of the bytes to hand over."""

    values: Tensor
    normalise: Normalisation

    @property
    def shape(self) -> torch.Size:
        """That of `values`."""
        return self.values.shape

    def finished(self) -> Tensor:
        """What a network sees, (3, H, W) or (N, 3, H, W) float32, on the device of `values`."""
        images = self.values if self.values.ndim == 4 else self.values[None]
        on_cpu = images.device.type == "cpu"
        batch = self.normalise.batch(images.numpy()) if on_cpu else self.normalise.where_they_are(images)
        return batch if self.values.ndim == 4 else batch[0]

    def pin_memory(self) -> Pixels:
        """What a `DataLoader` calls that hands over to a GPU."""
        return replace(self, values=self.values.pin_memory())

    def to(self, device: torch.device) -> Pixels:
        """What a trainer calls that moves a batch: bytes, and where they are pinned, without waiting for them."""
        return replace(self, values=self.values.to(device, non_blocking=self.values.is_pinned()))


class SegmentationDataset(Dataset[Sample]):
    """Samples with the keys `image`, `tags`, `image_id`, `size` and, if `with_masks`, `mask` and `shown`.

    `shown`, (256,) bool: which labels the whole mask holds, before an augmentation cuts it.

    Args:
        records: the images, in order.
        encode: turns a mask of the data set into contiguous labels.
        size: (H, W) that images and masks are resized to, or their shorter side, which the longer one follows; None
            keeps each image's own.
        mean: per channel of RGB in 0..1, subtracted from the image.
        std: per channel, divides it.
        with_masks: open the masks too.
        augmentation: what `at` does instead of resizing, from a factory of `data.transforms`.
        seed: of the augmentation.

    Raises:
        InputError: an image, or with `with_masks` a mask, does not exist; while reading, a file is damaged.
    """

    def __init__(
        self,
        records: Sequence[Record],
        *,
        encode: Encode,
        size: Size = None,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        with_masks: bool = False,
        augmentation: A.Compose | None = None,
        seed: int = 0,
    ) -> None:
        self.records = list(records)
        self.encode = encode
        self.size = size
        self.normalise = Normalisation(mean, std)
        self.with_masks = with_masks
        self.augmentation, self.seed = augmentation, seed
        for record in self.records:
            require_image(record)
            if with_masks:
                require_mask(record)
        if with_masks:
            note_masks(record.mask for record in self.records)  # its loading processes tell nobody

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Sample:
        return self._sample(index, step=None, packed=False)

    def at(self, index: int, *, step: int, packed: bool = False) -> Sample:
        """Image number `index` as training step `step` sees it, a function of (seed, step, image_id) and the files.

        The augmentation moves image and mask alike and gives them their size; `sample["size"]` stays the original.
        Without one it is `self[index]`. `packed` leaves the image as `Pixels`, for `steps.StepLoader`.
        """
        return self._sample(index, step=step, packed=packed)

    def _sample(self, index: int, *, step: int | None, packed: bool) -> Sample:
        record = self.records[index]
        arrays = self._read(record)
        if step is None or self.augmentation is None:
            shown = self._resized(arrays)
        else:
            shown = augment(self.augmentation, arrays, seed=self.seed, step=step, image_id=record.image_id)
        pixels = Pixels(torch.from_numpy(shown["image"]), self.normalise)
        sample: Sample = {
            "image": pixels if packed else pixels.finished(),
            "tags": torch.from_numpy(record.tags.copy()),
            "image_id": record.image_id,
            "size": torch.tensor(arrays["image"].shape[:2]),
        }
        if not self.with_masks:
            return sample
        whole = np.bincount(arrays["mask"].ravel(), minlength=256) > 0
        return sample | {"mask": torch.from_numpy(shown["mask"]).long(), "shown": torch.from_numpy(whole)}

    def _read(self, record: Record) -> Arrays:
        image = {"image": read_image(record.image)}
        return image | ({"mask": read_target(record, self.encode)} if self.with_masks else {})

    def _resized(self, arrays: Arrays) -> Arrays:
        if self.size is None:
            return arrays
        size = network_size(arrays["image"].shape[:2], self.size)
        shown = {"image": resize_image(arrays["image"], size)}
        if self.with_masks:
            shown["mask"] = resize_labels(arrays["mask"], size).astype(np.uint8)
        return shown


class WithTargets(Dataset[Sample]):
    """The samples of `images` with `target` beside them: ground truth (H, W) uint8 at the image's own size.

    Raises:
        InputError: an image has no mask; while reading, a mask is at fault (see `read_target`).
    """

    def __init__(self, images: SegmentationDataset) -> None:
        self.images = images
        for record in images.records:
            require_mask(record)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        target = read_target(self.images.records[index], self.images.encode)
        return self.images[index] | {"target": torch.from_numpy(target)}


def network_size(own: tuple[int, int], size: Sequence[int] | int | None) -> tuple[int, int]:
    """The (height, width) that a network sees an image of (height, width) `own` at, if it sees all at `size`."""
    if isinstance(size, int):
        height, width = (round(length * size / min(own)) for length in own)
        return height, width
    return own if size is None else (size[0], size[1])


def resize_image(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """An image (H, W, 3) at another (height, width): bilinear, without aliasing, in whole grey levels."""
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None]
    return F.interpolate(pixels, size, mode="bilinear", antialias=True)[0].permute(1, 2, 0).contiguous().numpy()


def collate(samples: Sequence[Sample]) -> Sample:
    """Stack samples to a batch; `image_id` and `target` become lists.

    Raises:
        InputError: the images differ in size.
    """
    if len({sample["image"].shape for sample in samples if "image" in sample}) > 1:
        raise InputError("the images of a batch differ in size: set the data set's size=[H, W], or batch_size=1.")
    packed = [sample["image"] for sample in samples if isinstance(sample.get("image"), Pixels)]
    if packed:
        samples = [sample | {"image": pixels.values} for sample, pixels in zip(samples, packed, strict=True)]
    targets = [sample["target"] for sample in samples if "target" in sample]
    batch: Sample = default_collate([{k: v for k, v in sample.items() if k != "target"} for sample in samples])
    batch |= {"target": targets} if targets else {}
    return batch | ({"image": Pixels(batch["image"], packed[0].normalise)} if packed else {})


def read_target(record: Record, encode: Encode) -> Mask:
    """Read and encode the mask of a record, (H, W) uint8 at the image's own size.

    Raises:
        InputError: the mask is missing or damaged, has another size than the image, or an unknown index.
    """
    path = require_mask(record)
    mask = read_mask(path)
    require_size(mask, record)
    return encode(mask, path)


def require_size(mask: Mask, record: Record) -> None:
    """Check that the mask of a record has its image's size.

    Raises:
        InputError: it has another one.
    """
    size = image_size(record.image)
    if mask.shape == size:
        return
    turned = orientation(record.image)
    remedy = "use the image's own mask"
    if turned != 1 and mask.shape == size[::-1]:
        remedy = f"it is stored turned (EXIF orientation {turned}) and read upright, turn the mask likewise"
    raise InputError(f"{record.mask} has size {mask.shape} (H, W), but {record.image} has {size}: {remedy}.")


def require_mask(record: Record) -> Path:
    """Where the mask of a record lies, checked to exist.

    Raises:
        InputError: it does not.
    """
    if record.mask is None or not record.mask.is_file():
        where = record.mask or f"of {record.image}"
        if record.mask and (near := near_name(record.mask)):
            raise InputError(f"the mask {where} does not exist, but {near} is there: write both names alike.")
        raise InputError(
            f"the mask {where} does not exist: add it, choose a list whose images have masks, or what needs none "
            "(result=predictions)."
        )
    return record.mask


def require_image(record: Record) -> Record:
    """The record itself, its image checked to exist.

    Raises:
        InputError: it does not.
    """
    if record.image.is_file():
        return record
    if near := near_name(record.image):
        raise InputError(f"{record.image} does not exist, but {near} is there: write both names alike.")
    raise InputError(f"{record.image} does not exist: fetch the image, or take {record.image_id} off the list.")
