"""Stage: predictions sharpened by a dense CRF, of pairs alone or with higher-order terms over regions."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsss_lightning.data.base import Record, SegmentationDataModule, Split
from wsss_lightning.data.images import decode, read_image
from wsss_lightning.data.masks import write_mask
from wsss_lightning.nn.prediction import possible_probabilities
from wsss_lightning.ops.crf import region_potential
from wsss_lightning.stages.missing import write_missing
from wsss_lightning.stages.predict import read_probabilities

Regions = NDArray[np.int32]
Unary = Callable[[NDArray[np.float32]], NDArray[np.float32]]
Crf = Callable[..., NDArray[np.float32]]


def refine(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    predictions: str,
    split: Split,
    unary: Unary,
    crf: Crf,
    regions: str | None = None,
    tagged: bool = False,
    workers: int,
    progress: bool,
) -> None:
    """Run `crf` on what a stage of `stages.predict` kept of the images of `split`; writes `masks/<image_id>.png`.

    Full-size probabilities exist only while their image is worked on.

    Args:
        predictions: folder of a stage that kept its scores.
        unary: energies of probabilities (L, H, W), for example `ops.crf.unary_from_probabilities`.
        crf: `ops.crf.dense_crf` with its weights.
        regions: folder of `regions/<image_id>.png` for the higher-order terms; None for a CRF of pairs alone.
        tagged: the field is one of background and the image's tags alone, for labels of images that have tags.
        workers: processes; 0 for as many as there are cores.
    """
    folder = Path(out_dir) / "masks"
    work = partial(
        _refine_one,
        folder=folder,
        data=data,
        predictions=Path(predictions),
        regions=None if regions is None else Path(regions),
        tagged=tagged,
        unary=unary,
        crf=crf,
    )
    description = f"dense CRF, {split}"
    write_missing(work, data.records(split), folder, processes=workers, description=description, progress=progress)


def smooth(
    image: NDArray[np.uint8], probs: NDArray[np.float32], regions: Regions | None, *, unary: Unary, crf: Crf
) -> NDArray[np.intp]:
    """The best of L labels at every pixel, (H, W) in 0..L - 1, with P^n-Potts terms if there are regions.

    Args:
        image: (H, W, 3).
        probs: P, (L, H, W); a single label needs no CRF.
        regions: (H, W) in 0..R - 1.
        unary: see `refine`.
        crf: see `refine`.
    """
    if len(probs) == 1:
        return np.zeros(probs.shape[1:], np.intp)
    terms = () if regions is None else (regions, region_potential(probs, regions))
    best: NDArray[np.intp] = crf(image, unary(probs), *terms).argmax(axis=0)
    return best


def read_regions(folder: Path, image_id: str) -> Regions:
    """Regions of one image as a stage numbered them, (H, W) in 0..R - 1."""
    return np.array(decode(folder / "regions" / f"{image_id}.png")).astype(np.int32)


def _refine_one(
    record: Record,
    *,
    folder: Path,
    data: SegmentationDataModule,
    predictions: Path,
    regions: Path | None,
    tagged: bool,
    unary: Unary,
    crf: Crf,
) -> None:
    image = read_image(record.image)
    probs = read_probabilities(predictions, record.image_id, image.shape[:2])
    possible = np.arange(len(probs))
    if tagged:
        possible = np.flatnonzero(np.append(True, record.tags))
        probs = possible_probabilities(probs, record.tags.tolist())[possible]
    numbered = None if regions is None else read_regions(regions, record.image_id)
    labels = possible[smooth(image, probs.numpy(), numbered, unary=unary, crf=crf)]
    write_mask(folder / f"{record.image_id}.png", data.decode(labels.astype(np.uint8)))
