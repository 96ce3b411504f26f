"""Small sets of pictures that a few steps can learn, in the layout of data=folder."""

import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsss_lightning.data.masks import read_mask, write_mask
from wsss_lightning.data.shapes import CLASSES
from wsss_lightning.stages.generate import generate_web_shapes

NAMES = ("check_brick", "dot_egg")
COLOURS = {"cat": (200, 70, 60), "dog": (60, 80, 200), "cow": (70, 170, 70)}


def write_discs(root: Path, *, count: int = 24) -> Path:
    """Pictures of one or two discs, each class in its colour, on a noisy grey, in the layout of data=folder."""
    rng, rows = np.random.default_rng(0), ["image,tags,split"]
    (root / "images").mkdir(parents=True)
    for number in range(count):
        mask = _discs({(number + more) % 3 + 1 for more in range(1 + number * 2 // count)}, rng)
        colours = np.array([[rng.integers(90, 160)] * 3, *COLOURS.values()])
        noisy = colours[mask] + rng.normal(0, 10, (*mask.shape, 3))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(root / "images" / f"p{number:02}.png")
        write_mask(root / "masks" / f"p{number:02}.png", mask)
        tags = ";".join(list(COLOURS)[label - 1] for label in np.unique(mask) if label)
        rows.append(f"p{number:02}.png,{tags},{'train' if number % 4 else 'val'}")
    (root / "tags.csv").write_text("\n".join([*rows, ""]))
    return root


def _discs(labels: set[int], rng: np.random.Generator) -> NDArray[np.uint8]:
    mask = np.zeros((96, 96), np.uint8)
    for label in sorted(labels):
        row, column = rng.integers(20, 76, 2)
        mask[np.hypot(*(np.mgrid[:96, :96] - np.array([row, column])[:, None, None])) < 20] = label
    return mask


def write_things(root: Path, scratch: Path) -> Path:
    """Eight generated pictures of one large thing for each of the classes `NAMES`; `scratch` takes those of others."""
    shape = {"per_class": 8, "wrong": 0, "duplicates": 0, "size": 64, "seed": 0}
    generate_web_shapes(out_dir=str(scratch), **shape, workers=1, progress=False)
    (root / "images").mkdir(parents=True)
    rows = ["image,tags"]
    for image in sorted((scratch / "JPEGImages").iterdir()):
        name = image.stem.rpartition("_")[0]
        if name in NAMES:
            mask = read_mask(scratch / "SegmentationClass" / f"{image.stem}.png") == CLASSES.index(name) + 1
            write_mask(root / "masks" / f"{image.stem}.png", mask * np.uint8(NAMES.index(name) + 1))
            shutil.copy(image, root / "images")
            rows.append(f"{image.name},{name}")
    (root / "tags.csv").write_text("\n".join([*rows, ""]))
    return root
