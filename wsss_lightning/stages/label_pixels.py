"""Stage: pseudo-labels out of class activation maps."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsss_lightning.data.base import Record, SegmentationDataModule, Split
from wsss_lightning.data.images import read_image
from wsss_lightning.data.labels import IGNORE
from wsss_lightning.data.masks import write_mask
from wsss_lightning.errors import InputError
from wsss_lightning.ops.crf import unary_from_probabilities
from wsss_lightning.scoring.cams import read_cam_maps
from wsss_lightning.stages.empty import count_empty
from wsss_lightning.stages.missing import write_missing
from wsss_lightning.stages.refine import Crf, smooth

Maps = NDArray[np.float32]
Label = Callable[[NDArray[np.uint8], Maps], NDArray[np.intp]]


def label_pixels(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    cams: str,
    split: Split,
    background: float,
    foreground: float | None,
    crf: Crf | None,
    workers: int,
    progress: bool,
) -> dict[str, float]:
    """Write `masks/<image_id>.png` of the images of `split` in the data set's own indices.

    Background is a map of the constant `background` beside those of the classes, and the highest map gives the label;
    with a `crf`, the maps, divided by their sum, are its probabilities. What is background only with the higher
    constant `foreground` is neither and ignored (255), as the labels of IRNet are (Ahn et al., CVPR 2019, sec. 3.2).

    Args:
        cams: folder of an `activate_classes` stage.
        background: in 0..1, of the class's maximum.
        foreground: at least `background`; None to ignore nothing. A second field where there is a `crf`.
        crf: `ops.crf.dense_crf` with its weights; None for none.

    Returns:
        `<split>/empty`: the share of tagged images whose labels are background alone.
    """
    records = data.records(split)
    label = labeller(background=background, foreground=foreground, crf=crf)
    label_records(
        records, Path(cams), out_dir=Path(out_dir), data=data, label=label, processes=workers, progress=progress
    )
    return count_empty(records, Path(out_dir), split)


def labeller(*, background: float, foreground: float | None, crf: Crf | None) -> Label:
    """From an image (H, W, 3) and K maps (K, H, W) to 0 for background, k for map k - 1, 255; see `label_pixels`.

    Raises:
        InputError: `background` is no share of a map's range, or `foreground` is below it.
    """
    if not 0 <= background < 1:
        raise InputError(f"background={background}: maps are within 0..1, give 0 or more and less than 1.")
    if foreground is not None and foreground < background:
        raise InputError(f"foreground={foreground} needs background={background} below it.")
    return partial(_label, background=background, foreground=foreground, crf=crf)


def label_records(
    records: Sequence[Record],
    cams: Path,
    *,
    out_dir: Path,
    data: SegmentationDataModule,
    label: Label,
    processes: int,
    progress: bool,
) -> None:
    """Write `out_dir/masks/<image_id>.png` of the records out of `cams/cams/<image_id>.npy`."""
    folder = out_dir / "masks"
    work = partial(_label_one, folder=folder, cams=cams / "cams", data=data, label=label)
    write_missing(work, records, folder, processes=processes, description="pseudo-labels", progress=progress)


def background_and_classes(maps: Maps, background: float) -> Maps:
    """Maps (K, H, W) in 0..1 and a constant -> probabilities (K + 1, H, W), background first."""
    whole: Maps = np.concatenate([np.full_like(maps[:1], background), maps])
    whole /= whole.sum(axis=0)
    return whole


def _label(
    image: NDArray[np.uint8], maps: Maps, *, background: float, foreground: float | None, crf: Crf | None
) -> NDArray[np.intp]:
    possible = _best(image, maps, background=background, crf=crf)
    if foreground is None:
        return possible
    certain = _best(image, maps, background=foreground, crf=crf)
    certain[(certain == 0) & (possible > 0)] = IGNORE
    return certain


def _best(image: NDArray[np.uint8], maps: Maps, *, background: float, crf: Crf | None) -> NDArray[np.intp]:
    probs = background_and_classes(maps, background)
    if crf is not None:
        return smooth(image, probs, None, unary=unary_from_probabilities, crf=crf)
    best: NDArray[np.intp] = probs.argmax(axis=0)
    return best


def _label_one(record: Record, *, folder: Path, cams: Path, data: SegmentationDataModule, label: Label) -> None:
    image = read_image(record.image)
    size = (image.shape[0], image.shape[1])
    labels, maps = read_cam_maps(cams / f"{record.image_id}.npy", labels=data.labels, size=size)
    chosen = label(image, maps.astype(np.float32)) if len(labels) else np.zeros(size, np.intp)
    table = np.full(IGNORE + 1, IGNORE, np.uint8)
    table[: len(labels) + 1] = [0, *labels]
    write_mask(folder / f"{record.image_id}.png", data.decode(table[chosen]))
