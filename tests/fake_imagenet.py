"""A tiny ImageNet as it is delivered: class folders and archives, and the files of the synset tree."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

WORDS = {
    "n00015388": "animal, animate being, beast, brute, creature, fauna",
    "n01317541": "domestic animal, domesticated animal",
    "n02075296": "carnivore",
    "n02083346": "canine, canid",
    "n02084071": "dog, domestic dog, Canis familiaris",
    "n02084861": "poodle, poodle dog",
    "n02085374": "toy dog, toy",
    "n02113624": "toy poodle",
    "n02114100": "wolf",
    "n02120997": "feline, felid",
    "n02121620": "cat, true cat",
    "n02121808": "domestic cat, house cat, Felis domesticus, Felis catus",
    "n02123045": "tabby, tabby cat",
    "n02124623": "wildcat",
    "n02127052": "lynx, catamount",
    "n02128385": "leopard, Panthera pardus",
    "n03001627": "chair",  # no line of the tree names it
}
# Domestic cat, dog and toy poodle have two parents each.
IS_A = (
    *(("n00015388", "n01317541"), ("n00015388", "n02075296"), ("n02075296", "n02083346"), ("n02075296", "n02120997")),
    *(("n01317541", "n02084071"), ("n02083346", "n02084071"), ("n02083346", "n02114100")),
    *(("n02084071", "n02084861"), ("n02084071", "n02085374"), ("n02084861", "n02113624"), ("n02085374", "n02113624")),
    *(("n02120997", "n02121620"), ("n02120997", "n02128385"), ("n02121620", "n02121808"), ("n02121620", "n02124623")),
    *(("n01317541", "n02121808"), ("n02121808", "n02123045"), ("n02124623", "n02127052")),
)
# Numbers of the images of each class; a cat has none of its own between cat and tabby.
CLASSES = {
    "n02121620": (1, 12),
    "n02123045": (3, 40, 41),
    "n02127052": (7,),
    "n02084071": (2,),
    "n02113624": (5, 6),
    "n02114100": (8, 9),
    "n02128385": (10,),
    "n03001627": (11, 13, 14),
}
IN_ARCHIVE = "n02113624"
CMYK, MISNAMED, GREY, CORRUPT = (
    *("n02127052/n02127052_7.JPEG", "n02114100/n02114100_8.JPEG", "n02128385/n02128385_10.JPEG"),
    "n03001627/n03001627_13.JPEG",
)


def write_imagenet(root: Path, *, place: str = "", is_a: Sequence[tuple[str, str]] = IS_A) -> None:
    """Write the class folders, one of them as an archive, below `root / place` and the synset files to `root`.

    There are 14 images and a corrupt one, cut off. Of the images one is CMYK, one is grey, and one is a PNG by content.
    """
    root.mkdir(parents=True, exist_ok=True)
    write_synsets(root, is_a)
    for synset, numbers in CLASSES.items():
        for number in numbers:
            write_image(root / place / synset / f"{synset}_{number}.JPEG", number)
    _write_oddities(root / place)
    write_archive(root / place / IN_ARCHIVE)


def write_synsets(folder: Path, is_a: Sequence[tuple[str, str]]) -> None:
    """`wordnet.is_a.txt` and `words.txt`."""
    (folder / "wordnet.is_a.txt").write_text("".join(f"{parent} {child}\n" for parent, child in is_a))
    (folder / "words.txt").write_text("".join(f"{synset}\t{words}\n" for synset, words in WORDS.items()))


def write_image(path: Path, number: int, *, mode: str = "RGB", style: str = "JPEG") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, format=style)


def write_archive(folder: Path, *, inside: str = "") -> None:
    """Turn a class folder into its archive, whose files are at its top or in the folder `inside`."""
    with tarfile.open(folder.with_suffix(".tar"), "w") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, arcname=f"{inside}/{path.name}" if inside else path.name)
            path.unlink()
    folder.rmdir()


def _write_oddities(folder: Path) -> None:
    write_image(folder / CMYK, 7, mode="CMYK")
    write_image(folder / MISNAMED, 8, style="PNG")
    write_image(folder / GREY, 10, mode="L")
    whole = (folder / CORRUPT).read_bytes()
    (folder / CORRUPT).write_bytes(whole[: len(whole) // 2])
