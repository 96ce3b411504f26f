"""A program that writes a tiny SBD in its real layout: `cls` and `inst` as MATLAB structs, `img`, two lists."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from fake_data import fake_mask, write_voc
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat
from scipy.sparse import csc_matrix

_CLASSES = 20
SIZE = (24, 32)
TRAIN = ["2007_000001", "2007_000002", "2008_000003"]
EXTRA = ["2009_000004", "2010_000005"]
VAL = ["2007_000006", "2007_000007"]
NUMBERS = {image_id: number for number, image_id in enumerate([*TRAIN, *EXTRA, *VAL], 1)}
# SBD's lists cross VOC's: images of VOC's train and of its val are in both of them.
SBD_TRAIN, SBD_VAL = [EXTRA[0], TRAIN[1], VAL[0]], [VAL[1], EXTRA[1], TRAIN[0]]


def write_voc_and_sbd(root: Path) -> None:
    """Write VOC (TRAIN, VAL, and EXTRA's images without masks) and SBD side by side, as their archives unpack."""
    voc = root / "VOCdevkit" / "VOC2012"
    write_voc(voc, train=TRAIN, sbd=EXTRA, val=VAL, size=SIZE)
    shutil.rmtree(voc / "SegmentationClassAug")
    write_sbd(root / "benchmark_RELEASE" / "dataset", numbers=NUMBERS, train=SBD_TRAIN, val=SBD_VAL, size=SIZE)


def write_sbd(
    folder: Path,
    *,
    numbers: Mapping[str, int],
    train: Sequence[str],
    val: Sequence[str],
    size: tuple[int, int] = (24, 32),
) -> None:
    """Write `cls`, `img`, `inst`, `train.txt` and `val.txt`, as `benchmark_RELEASE/dataset` has them.

    Args:
        folder: the folder `dataset`.
        numbers: image id -> the number whose `fake_mask` (without 255) and noise the image has.
        train: ids of SBD's train.
        val: ids of SBD's val.
        size: (H, W) in px.
    """
    for name in ("cls", "img", "inst"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for image_id in [*train, *val]:
        mask = fake_mask(numbers[image_id], size, _CLASSES, border=False)
        write_mat(folder / "cls" / f"{image_id}.mat", mask)
        _write_instances(folder / "inst" / f"{image_id}.mat", mask)
        pixels = np.random.default_rng(numbers[image_id]).integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "img" / f"{image_id}.jpg", quality=95)
    for name, ids in {"train": train, "val": val}.items():
        (folder / f"{name}.txt").write_text("".join(f"{image_id}\n" for image_id in ids))


def write_mat(path: Path, mask: NDArray[np.uint8]) -> None:
    """Write `GTcls` with its three fields: one sparse boundary map a class, the segmentation, the classes present."""
    boundaries = np.empty((_CLASSES, 1), dtype=object)
    boundaries[:, 0] = [csc_matrix(_edges(mask == index)) for index in range(1, _CLASSES + 1)]
    present = np.setdiff1d(mask, [0]).astype(np.uint8)[:, None]
    fields = {"Boundaries": boundaries, "Segmentation": mask, "CategoriesPresent": present}
    savemat(path, {"GTcls": fields}, do_compression=True)


def _write_instances(path: Path, mask: NDArray[np.uint8]) -> None:
    categories = np.setdiff1d(mask, [0]).astype(np.uint8)[:, None]
    instances = np.searchsorted(np.r_[0, categories[:, 0]], mask).astype(np.uint8)
    boundaries = np.empty((len(categories), 1), dtype=object)
    boundaries[:, 0] = [csc_matrix(_edges(mask == index)) for index in categories[:, 0]]
    fields = {"Boundaries": boundaries, "Segmentation": instances, "Categories": categories}
    savemat(path, {"GTinst": fields}, do_compression=True)


def _edges(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    edges = np.zeros_like(inside)
    edges[:, 1:] |= inside[:, 1:] != inside[:, :-1]
    edges[1:] |= inside[1:] != inside[:-1]
    return edges & inside
