"""Stage: patches that a trained network takes for the class in images without it (patches sec. 3.2, second round)."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.masks import read_mask, write_mask
from wsss_lightning.data.samples import SegmentationDataset
from wsss_lightning.data.target import target_index
from wsss_lightning.data.transforms import central_augmentation
from wsss_lightning.methods.patches.stages.fit_patches import MINED, MakePatchNetwork, cut, read_patch_network
from wsss_lightning.methods.patches.stages.predict_patches import pixel_probability
from wsss_lightning.methods.patches.steps import crop_around, divide
from wsss_lightning.progress import track
from wsss_lightning.stages.device import choose_device
from wsss_lightning.stages.io import write_array


def mine_patches(
    *,
    out_dir: str,
    source: SegmentationDataModule,
    target: str,
    network: MakePatchNetwork,
    trained: str,
    size: tuple[int, int],
    held_out: float,
    threshold: float,
    images: int,
    most: int,
    seed: int,
    accelerator: str,
    progress: bool,
) -> dict[str, float]:
    """Write `false_positives/<image_id>.png` and `mined.npy`, up to `most` of their patches (M, size, size, 3) uint8.

    Looked at are the images that `fit_patches` set aside with the same `held_out` and `seed`, as far as their tags do
    not name the class: whatever is found there is wrong, so that no mask is needed.

    Args:
        out_dir: the stage's folder.
        source: whose training images these are.
        target: name of the class.
        network: of which the trained one was made.
        trained: folder of a `fit_patches` stage.
        size: (H, W) that images are cut to, px, as in training without jitter.
        held_out: share of the images that was set aside.
        threshold: theta, above which the central pixel's patch is taken.
        images: how many are looked at, drawn at random: a fifth of ImageNet has 10,000 patches many times over.
        most: patches kept, all equally likely: those of neighbouring pixels hardly differ, and a million do not fit.
        seed: of what is held out and kept.
        accelerator: where the network runs.
        progress: show a bar.
    """
    index, folder, device = target_index(source, target), Path(out_dir), choose_device(accelerator)
    made = read_patch_network(Path(trained), network).to(device)
    _, aside = divide(source.records("train"), held_out=held_out, seed=seed)
    without = [record for record in aside if not record.tags[index]]
    drawn = np.random.default_rng(seed).permutation(len(without))[:images]
    seen = cut(source, [without[number] for number in sorted(drawn)], central_augmentation((size[0], size[1])), seed=0)
    for number in track(range(len(seen)), description="false positives", total=len(seen), enabled=progress):
        if not (path := _path(folder, seen, number)).exists():
            probs = pixel_probability(made, _image(seen, number), normalise=seen.normalise, side=None)
            write_mask(path, (probs > threshold).cpu().numpy().astype(np.uint8))
    counts = [int(read_mask(_path(folder, seen, number)).sum()) for number in range(len(seen))]
    chosen = _share(counts, most=most, seed=seed)
    crops = [_crop(folder, seen, number, which, made.size) for number, which in enumerate(chosen) if len(which)]
    mined = np.concatenate([np.empty((0, made.size, made.size, 3), np.uint8), *crops])
    write_array(folder / MINED, mined)
    return {"mined/false_positives": float(sum(counts)), "mined/patches": float(len(mined))}


def _share(counts: list[int], *, most: int, seed: int) -> list[NDArray[np.int64]]:
    """Which of each image's false positives are kept: `most` of all, drawn without replacement."""
    total = sum(counts)
    kept = np.sort(np.random.default_rng(seed).choice(total, min(most, total), replace=False, shuffle=False))
    starts = np.cumsum([0, *counts])
    return [kept[(kept >= a) & (kept < b)] - a for a, b in pairwise(starts.tolist())]


def _crop(
    folder: Path, images: SegmentationDataset, number: int, which: NDArray[np.int64], edge: int
) -> NDArray[np.uint8]:
    rows, columns = np.nonzero(read_mask(_path(folder, images, number)))
    return crop_around(_image(images, number), rows[which].tolist(), columns[which].tolist(), size=edge)


def _image(images: SegmentationDataset, number: int) -> NDArray[np.uint8]:
    """An image as the network sees it in training, without jitter."""
    image: NDArray[np.uint8] = images.at(number, step=0, packed=True)["image"].values.numpy()
    return image


def _path(folder: Path, images: SegmentationDataset, number: int) -> Path:
    return folder / "false_positives" / f"{images.records[number].image_id}.png"
