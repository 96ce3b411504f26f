"""Programs that write tiny data sets in each data set's real layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from fake_coco import write_coco as write_coco
from fake_imagenet import write_imagenet as write_imagenet
from fake_web import write_web as write_web
from fake_yto import write_yto as write_yto
from PIL import Image

from wsss_lightning.data.masks import write_mask
from wsss_lightning.data.voc import VOC_CLASSES

PSA_LINE = "/JPEGImages/{id}.jpg /SegmentationClassAug/{id}.png"
SEC_LINE = "{id}.jpg {index}"

_OBJECT = """\t<object>
\t\t<name>{name}</name>
\t\t<pose>Unspecified</pose>
\t\t<truncated>0</truncated>
\t\t<difficult>{difficult}</difficult>
\t\t<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>
\t\t<part><name>head</name></part>
\t</object>
"""


def write_voc(
    root: Path,
    *,
    train: Sequence[str] = ("2007_000001", "2007_000002", "2008_000003"),
    sbd: Sequence[str] = ("2009_000004", "2010_000005"),
    val: Sequence[str] = ("2007_000006", "2007_000007"),
    names: Sequence[str] = VOC_CLASSES,
    size: tuple[int, int] = (24, 32),
    xml: bool = True,
    tag_file: str | None = None,
    aug: str | None = None,
    line: str = "{id}",
) -> None:
    """Write a VOC2012 folder. Image number n shows the classes of index n and n + 1; n + 2 is difficult, in XML only.

    Args:
        root: the folder, as `VOCdevkit/VOC2012`.
        train: ids of VOC's train; numbers are counted from 1 through train, sbd and val.
        sbd: ids whose mask is in SegmentationClassAug alone, without 255.
        val: ids of VOC's val.
        names: the foreground classes.
        size: (H, W) of the images in px.
        xml: write Annotations.
        tag_file: write this file of tags, with int ids where the ids are VOC's.
        aug: write train and sbd as this list, as SegmentationAug's lists are written.
        line: format of a line of the lists.
    """
    for number, image_id in enumerate([*train, *sbd, *val], 1):
        _write_image(root, image_id, number, size)
        _write_masks(root, image_id, number, size, len(names), own=image_id not in sbd)
        if xml:
            _write_xml(root, image_id, number, names)
    if tag_file:
        _write_tag_file(root / tag_file, [*train, *sbd, *val], len(names))
    for name, ids in {"train": train, "val": val, "trainval": [*train, *val]}.items():
        _write_list(root / "ImageSets" / "Segmentation" / f"{name}.txt", ids, line)
    if aug:
        _write_list(root / "ImageSets" / aug, [*train, *sbd], line)


def fake_mask(number: int, size: tuple[int, int], classes: int, *, border: bool) -> np.ndarray:
    """(H, W) uint8: index n in the left third, n + 1 in the right one, 255 around both if `border`."""
    mask = np.zeros(size, np.uint8)
    height, width = size
    for offset, left in ((0, 2), (1, width // 2)):
        box = (slice(3, height - 3), slice(left, left + width // 3))
        mask[box] = 255 if border else _index(number + offset, classes)
        mask[4 : height - 4, left + 1 : left + width // 3 - 1] = _index(number + offset, classes)
    return mask


def fake_tags(number: int, classes: int, *, difficult: bool) -> list[int]:
    """Zero-based classes of image `number`, with the one that only the XML has or without."""
    return sorted({_index(number + offset, classes) - 1 for offset in range(3 if difficult else 2)})


def _index(number: int, classes: int) -> int:
    return (number - 1) % classes + 1


def _write_image(root: Path, image_id: str, number: int, size: tuple[int, int]) -> None:
    path = _folder(root / "JPEGImages") / f"{image_id}.jpg"
    Image.fromarray(np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8)).save(path, quality=95)


def _write_masks(root: Path, image_id: str, number: int, size: tuple[int, int], classes: int, *, own: bool) -> None:
    aug = _folder(root / "SegmentationClassAug") / f"{image_id}.png"
    write_mask(aug, fake_mask(number, size, classes, border=False))
    if own:
        path = _folder(root / "SegmentationClass") / f"{image_id}.png"
        write_mask(path, fake_mask(number, size, classes, border=True))


def _write_xml(root: Path, image_id: str, number: int, names: Sequence[str]) -> None:
    found = [_index(number + offset, len(names)) - 1 for offset in (0, 1, 2)]
    objects = "".join(_OBJECT.format(name=names[c], difficult=int(i == 2)) for i, c in enumerate(found))
    text = f"<annotation>\n\t<folder>VOC2012</folder>\n\t<filename>{image_id}.jpg</filename>\n{objects}</annotation>\n"
    (_folder(root / "Annotations") / f"{image_id}.xml").write_text(text)


def _write_tag_file(path: Path, ids: Sequence[str], classes: int) -> None:
    table = {}
    for number, image_id in enumerate(ids, 1):
        digits = image_id.replace("_", "")
        values = np.zeros(classes, np.float32)
        values[fake_tags(number, classes, difficult=True)] = 1
        table[int(digits) if digits.isdigit() else image_id] = values
    np.save(path, table)


def _write_list(path: Path, ids: Sequence[str], line: str) -> None:
    lines = [line.format(id=image_id, index=index) for index, image_id in enumerate(ids)]
    (_folder(path.parent) / path.name).write_text("\n".join(lines) + "\n")


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path
