"""Maps of a frozen trunk on disk, and training steps over them: a head's step then costs milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.utils.data import Dataset

from wsss_lightning.data.images import image_size as size_of_image
from wsss_lightning.data.samples import Encode, Record, Sample, read_target
from wsss_lightning.data.steps import ImageSteps, share
from wsss_lightning.errors import InputError
from wsss_lightning.ops.resize import resize_labels

Layer = Literal["shallow", "deep"]
_DENSE = 0.9  # share of values other than 0 from which packing does not pay


def pack_maps(name: str, maps: Tensor) -> dict[str, Tensor]:
    """Half precision under `name`, or where many values are 0, as after a ReLU, only the others and where they are.

    Raises:
        InputError: a value is beyond the range of half precision, 65504.
    """
    if bool((maps.abs() > torch.finfo(torch.float16).max).any()):
        raise InputError(f"maps {name} exceed the range of half precision: the backbone's weights are at fault.")
    half = maps.half().cpu().contiguous()
    there = half != 0
    if there.float().mean() > _DENSE:
        return {name: half}
    bits = torch.from_numpy(np.packbits(there.numpy().ravel()))
    return {f"{name}/shape": torch.tensor(half.shape), f"{name}/bits": bits, f"{name}/values": half[there]}


def unpack_maps(name: str, read: Callable[[str], Tensor], names: Sequence[str]) -> Tensor:
    """What `pack_maps` was given, in half precision; `read` gives a tensor by one of `names`."""
    if name in names:
        return read(name)
    shape, values = torch.Size(read(f"{name}/shape").tolist()), read(f"{name}/values")
    bits = np.unpackbits(read(f"{name}/bits").numpy(), count=shape.numel())
    maps = torch.zeros(shape.numel(), dtype=values.dtype)
    maps[torch.from_numpy(bits).bool()] = values
    return maps.view(shape)


@dataclass(frozen=True)
class StoredMaps:
    """The folder of a `store_maps` stage: `<image_id>.safetensors` with maps `<variant>/<layer>`.

    Raises:
        InputError: while reading, a file is missing or damaged, or a variant was not stored.
    """

    folder: Path

    def path(self, image_id: str) -> Path:
        """Of an image's maps."""
        return self.folder / f"{image_id}.safetensors"

    def read(self, image_id: str, names: Sequence[str]) -> dict[str, Tensor]:
        """Tensors by name, `1/deep`, `1.5-mirrored/deep`, `1/pooled`: maps (D, h, w) in half precision, pooled (D,)."""
        path = self.path(image_id)
        try:
            with safe_open(path, framework="pt") as file:
                return {name: unpack_maps(name, file.get_tensor, file.keys()) for name in names}
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path} does not hold {', '.join(names)} ({error}): store these maps.") from None


class MapDataset(Dataset[Sample]):
    """Images as their stored maps: `shallow`, `deep` (D, h, w) float32, `tags`, `image_id` and, with masks, `mask`.

    Args:
        maps: of the images.
        records: the images, in order; their masks are those to learn from.
        variants: names of the variants that `at` picks from; `[index]` gives the first.
        layers: which maps are read.
        encode: of masks; None leaves them closed.
        image_size: of a mask's size and a variant, the (H, W) at which labels are compared.
        crop: (h, w) cells that `at` cuts out, a larger image's at least; None for whole images.
        period: px from a cell to the next.
        corners: see `nn.trunk.Trunk`.
        seed: of the choices.
    """

    def __init__(
        self,
        maps: StoredMaps,
        records: Sequence[Record],
        *,
        variants: Sequence[str],
        layers: Sequence[Layer] = ("shallow", "deep"),
        encode: Encode | None = None,
        image_size: Callable[[tuple[int, int], float], tuple[int, int]] | None = None,
        crop: tuple[int, int] | None = None,
        period: int = 16,
        corners: bool = False,
        seed: int = 0,
    ) -> None:
        self.maps, self.records, self.variants, self.layers = maps, list(records), list(variants), list(layers)
        self.encode, self.image_size, self.crop = encode, image_size, crop
        self.period, self.corners, self.seed = period, corners, seed

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Sample:
        return self._sample(index, self.variants[0])

    def at(self, index: int, *, step: int, packed: bool = False) -> Sample:  # noqa: ARG002
        """Image number `index` as step `step` sees it: a variant and a crop that (seed, step, image) draw."""
        generator = np.random.default_rng([self.seed, step, index])
        sample = self._sample(index, self.variants[generator.integers(len(self.variants))])
        return sample if self.crop is None else self._cropped(sample, self.crop, generator)

    def _sample(self, index: int, variant: str) -> Sample:
        record = self.records[index]
        read = self.maps.read(record.image_id, [f"{variant}/{layer}" for layer in self.layers])
        sample: Sample = {layer: read[f"{variant}/{layer}"].float() for layer in self.layers}
        sample |= {"image_id": record.image_id, "tags": torch.from_numpy(record.tags.copy())}
        return sample if self.encode is None else sample | {"mask": self._mask(record, variant, self.encode)}

    def _mask(self, record: Record, variant: str, encode: Encode) -> Tensor:
        mask = torch.from_numpy(read_target(record, encode)).long()
        scale, _, mirrored = variant.partition("-")
        if self.image_size is not None:
            mask = resize_labels(mask, self.image_size((mask.shape[0], mask.shape[1]), float(scale)))
        return mask.flip(-1) if mirrored else mask

    def _cropped(self, sample: Sample, crop: tuple[int, int], generator: np.random.Generator) -> Sample:
        size = sample[self.layers[0]].shape[-2:]
        cells = [slice(*_window(whole, part, generator)) for whole, part in zip(size, crop, strict=True)]
        cut: Sample = {layer: sample[layer][:, cells[0], cells[1]] for layer in self.layers}
        if "mask" in sample:
            rows, columns = (self._pixels(cell) for cell in cells)
            cut["mask"] = sample["mask"][rows, columns]
        return {**sample, **cut}

    def _pixels(self, cells: slice) -> slice:
        """The pixels between the first and the last place that cells look at, or those that they cover."""
        last = (cells.stop - 1) * self.period + 1 if self.corners else cells.stop * self.period
        return slice(cells.start * self.period, last)


class SizedMaps(MapDataset):
    """Images as their maps at scale 1, with their `size` in px, to predict."""

    def __init__(self, maps: StoredMaps, records: Sequence[Record]) -> None:
        super().__init__(maps, records, variants=["1"])

    def __getitem__(self, index: int) -> Sample:
        return super().__getitem__(index) | {"size": size_of_image(self.records[index].image)}


def _window(whole: int, part: int, generator: np.random.Generator) -> tuple[int, int]:
    start = int(generator.integers(max(whole - part, 0) + 1))
    return start, min(start + part, whole)


class MapSteps(ImageSteps):
    """`ImageSteps` over a `MapDataset`; maps and masks come as lists, since photographs differ in size."""

    dataset: MapDataset

    def batch(self, step: int, *, rank: int, world: int) -> Sample:
        """The images of `step` that process `rank` of `world` learns from."""
        chosen = share(self.indices(step), rank=rank, world=world)
        return as_lists([self.dataset.at(index, step=step) for index in chosen.tolist()])


def as_lists(samples: Sequence[Sample]) -> Sample:
    """Samples as a batch of lists, but for tags, (N, C)."""
    batch: Sample = {name: [sample[name] for sample in samples] for name in samples[0]}
    return batch | {"tags": torch.stack(batch["tags"])}


@dataclass(frozen=True, eq=False)
class Pooled:
    """Global averages of the deep maps of N images, (V, N, D) of V variants, in memory, and their tags (N, C)."""

    values: Tensor
    tags: Tensor
    image_ids: Sequence[str] = ()

    @classmethod
    def read(cls, maps: StoredMaps, records: Sequence[Record], *, variants: Sequence[str]) -> Pooled:
        """Those of the images of `records`."""
        names = [f"{variant}/pooled" for variant in variants]
        files = [maps.read(record.image_id, names) for record in records]
        tags = torch.from_numpy(np.stack([record.tags for record in records]))
        return cls(
            torch.stack([torch.stack([file[name] for file in files]) for name in names]),
            tags,
            [record.image_id for record in records],
        )

    def __len__(self) -> int:
        return len(self.tags)


class PooledSteps(ImageSteps):
    """Batches `pooled` (N, D) and `tags` (N, C); which variant of an image a step sees is drawn from (seed, step)."""

    def __init__(
        self, pooled: Pooled, *, batch_size: int, seed: int, steps: int | None = None, epochs: int | None = None
    ) -> None:
        super().__init__(pooled, batch_size=batch_size, seed=seed, steps=steps, epochs=epochs)  # type: ignore[arg-type]
        self.pooled = pooled

    def batch(self, step: int, *, rank: int, world: int) -> Sample:
        """The images of `step` that process `rank` of `world` learns from."""
        images = self.indices(step)
        shown = np.random.default_rng([self.seed, step]).integers(len(self.pooled.values), size=len(images))
        rows, columns = (torch.from_numpy(share(each, rank=rank, world=world)) for each in (shown, images))
        ids = [self.pooled.image_ids[column] for column in columns.tolist()] if self.pooled.image_ids else []
        return {"pooled": self.pooled.values[rows, columns], "tags": self.pooled.tags[columns], "image_id": ids}


@dataclass(frozen=True, eq=False)
class PooledDataset(Dataset[Sample]):
    """Images one by one, `pooled` (D,) of the first variant and `tags`, to hold out."""

    pooled: Pooled

    def __len__(self) -> int:
        return len(self.pooled)

    def __getitem__(self, index: int) -> Mapping[str, Tensor]:  # type: ignore[override]
        return {"pooled": self.pooled.values[0, index], "tags": self.pooled.tags[index]}
