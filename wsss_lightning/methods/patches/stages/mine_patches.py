"""Stage: patches that a trained network takes for the class in images without it (patches sec. 3.2, second round)."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.masks import read_mask, write_mask
from wsss_lightning.data.target import target_index
from wsss_lightning.methods.patches.cropping import crop_around
from wsss_lightning.methods.patches.stages.fit_patches import MINED, read_patch_module
from wsss_lightning.methods.patches.steps import CentralImages, divide
from wsss_lightning.nn.prediction import Prediction
from wsss_lightning.stages.fit import MakeTrainer
from wsss_lightning.stages.io import write_array
from wsss_lightning.stages.predict import infer, without
from wsss_lightning.stages.records import draw_records


def mine_patches(
    *,
    out_dir: str,
    source: SegmentationDataModule,
    target: str,
    model: str,
    size: tuple[int, int],
    held_out: float,
    threshold: float,
    images: int,
    most: int,
    seed: int,
    trainer: MakeTrainer,
    workers: int,
    progress: bool,
) -> dict[str, float]:
    """Write `false_positives/<image_id>.png` and `mined.npy`, up to `most` of their patches (M, size, size, 3) uint8.

    Looked at are the images that `fit_patches` set aside with the same `held_out` and `seed`, as far as their tags do
    not name the class: whatever is taken for it there is wrong, so that no mask is needed.

    Args:
        source: whose training images these are.
        target: name of the class.
        model: folder of a `fit_patches` stage.
        size: (H, W) that images are cut to, px, as in training without jitter.
        held_out: share of the images that was set aside.
        threshold: theta, above which the central pixel's patch is taken.
        images: how many are looked at, drawn at random: a fifth of ImageNet has 10,000 patches many times over.
        most: patches kept, all equally likely: those of neighbouring pixels hardly differ, and a million do not fit.
        seed: of what is held out and kept.
    """
    index, folder, module = target_index(source, target), Path(out_dir), read_patch_module(model)
    _, aside = divide(source.records("train"), held_out=held_out, seed=seed)
    others = [record for record in aside if not record.tags[index]]
    shown = CentralImages(source, draw_records(others, images, seed=seed), size=size)
    paths = [_path(folder, record.image_id) for record in shown.records]
    module.threshold = threshold

    def write(prediction: Prediction) -> None:
        write_mask(_path(folder, prediction.image_id), prediction.labels.cpu().numpy().astype(np.uint8))

    infer(
        module,
        without(shown, paths),
        write=write,
        batch_size=1,
        trainer=trainer,
        workers=workers,
        progress=progress,
        description="false positives",
    )
    counts = [int(read_mask(path).sum()) for path in paths]
    chosen = _share(counts, most=most, seed=seed)
    edge = module.network.size
    crops = [_crop(shown.pixels(n), paths[n], which, edge) for n, which in enumerate(chosen) if len(which)]
    mined = np.concatenate([np.empty((0, edge, edge, 3), np.uint8), *crops])
    write_array(folder / MINED, mined)
    return {"mined/false_positives": float(sum(counts)), "mined/patches": float(len(mined))}


def _share(counts: list[int], *, most: int, seed: int) -> list[NDArray[np.int64]]:
    """Which of each image's false positives are kept: `most` of all, drawn without replacement."""
    total = sum(counts)
    kept = np.sort(np.random.default_rng(seed).choice(total, min(most, total), replace=False, shuffle=False))
    starts = np.cumsum([0, *counts])
    return [kept[(kept >= a) & (kept < b)] - a for a, b in pairwise(starts.tolist())]


def _crop(image: NDArray[np.uint8], mask: Path, which: NDArray[np.int64], edge: int) -> NDArray[np.uint8]:
    rows, columns = np.nonzero(read_mask(mask))
    return crop_around(image, rows[which].tolist(), columns[which].tolist(), size=edge)


def _path(folder: Path, image_id: str) -> Path:
    return folder / "false_positives" / f"{image_id}.png"
