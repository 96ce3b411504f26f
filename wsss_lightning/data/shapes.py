"""Generated scenes in VOC's own layout: the embedded data, hard in the ways in which photographs are hard.

Each object is a plain body, whose outline two classes share, with thin limbs and a small textured part that alone tells
the two apart. Bodies without a part are background. Colours name nothing, and two of the classes nearly always stand
on one kind of ground. `wsss_lightning.data.shape_scenes` says what is drawn, this file what is written.
"""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from wsss_lightning.atomic import replace_file
from wsss_lightning.data.masks import write_mask
from wsss_lightning.data.shape_figures import Textured
from wsss_lightning.data.shape_scenes import Scene, figure_picture, scene
from wsss_lightning.data.shape_textures import Bytes
from wsss_lightning.errors import InputError
from wsss_lightning.parallel import in_parallel

__all__ = ["CLASSES", "PICTURE_CLASSES", "Scene", "figure_picture", "scene", "write_scenes"]

# Part and body; label i + 1 of a mask is CLASSES[i].
CLASSES = ("stripe_egg", "dot_egg", "check_brick", "ring_brick", "zigzag_tent", "ray_tent", "net_star", "mosaic_star")

# As ImageNet shares some of VOC's classes and has many others, so do the pictures: the eight classes; the same parts on
# other bodies, so that a network has to look at both; and the bodies alone, which in scenes are background.
PICTURE_CLASSES = (
    *CLASSES,
    *("stripe_brick", "dot_brick", "check_tent", "ring_tent", "zigzag_star", "ray_star", "net_egg", "mosaic_egg"),
    *("egg", "brick", "tent", "star"),
)

SPLITS = ("train", "val")


def write_scenes(
    root: Path,
    *,
    train: int = 400,
    val: int = 100,
    size: int = 128,
    seed: int = 0,
    textured: Textured = "part",
    processes: int = 1,
    progress: bool = False,
) -> None:
    """Write the scenes under `root` as VOC has them, and each image's parts map beside.

    Written are JPEGImages, SegmentationClass (palette, 255 on borders), Annotations, ImageSets/Segmentation and Parts
    (1 body, 2 discriminative part, 3 thin part). Each image depends on (seed, split, index) alone; one whose files
    exist is left as it is, so that a killed call can be repeated. The lists are written last.

    Args:
        root: the folder, made if need be.
        train: number of training images.
        val: number of validation images.
        size: edge of the square images in px, at least 64.
        seed: of the whole set.
        textured: where a class's texture is: on a disc of each object, or all over its body.
        processes: how many draw at once; 0 for as many as there are cores.
        progress: show a bar.

    Raises:
        InputError: `root` holds scenes of another size, seed or texture, or `size` is less than 64.
    """
    if size < 64:
        raise InputError(f"size={size} leaves no room for the parts: choose at least 64.")
    claim(root, {"size": size, "seed": seed, "textured": textured})
    wanted = [(split, index) for split, count in enumerate((train, val)) for index in range(count)]
    draw = partial(_write_scene, root, size=size, seed=seed, textured=textured)
    for _ in in_parallel(draw, wanted, processes=processes, description="scenes", progress=progress):
        pass
    lists = {name: [_image_id(s, index) for s, index in wanted if s == split] for split, name in enumerate(SPLITS)}
    for name, ids in {**lists, "trainval": lists["train"] + lists["val"]}.items():
        _write(root / "ImageSets" / "Segmentation" / f"{name}.txt", "".join(f"{i}\n" for i in ids).encode())


def claim(root: Path, wanted: Mapping[str, object]) -> None:
    """Note in the folder what it is made with.

    Raises:
        InputError: it was made with something else.
    """
    record = root / "shapes.json"
    if not record.exists():
        _write(record, json.dumps(wanted).encode())
    elif json.loads(record.read_text()) != wanted:
        raise InputError(
            f"{record} says that the folder holds scenes of another size, seed or texture: choose another folder"
        )


def _image_id(split: int, index: int) -> str:
    return f"{SPLITS[split]}_{index:06d}"


def _write_scene(root: Path, place: tuple[int, int], *, size: int, seed: int, textured: Textured) -> None:
    split, index = place
    name = _image_id(split, index)
    mask, parts = root / "SegmentationClass" / f"{name}.png", root / "Parts" / f"{name}.png"
    image, annotation = root / "JPEGImages" / f"{name}.jpg", root / "Annotations" / f"{name}.xml"
    if all(path.exists() for path in (mask, parts, image, annotation)):
        return
    drawn = scene(index, split=split, size=size, seed=seed, textured=textured)
    write_mask(mask, drawn.mask())
    write_mask(parts, drawn.parts)
    write_jpeg(image, drawn.image)
    _write(annotation, _annotation(name, drawn))


def write_jpeg(path: Path, image: Bytes) -> None:
    """Write an image (H, W, 3) uint8."""
    replace_file(path, lambda temporary: Image.fromarray(image).save(temporary, quality=95))


def _annotation(name: str, drawn: Scene) -> bytes:
    """VOC's XML for a scene: its size and, for each object, name and bounding box of what is seen (1-based px)."""
    height, width, depth = drawn.image.shape
    root = ElementTree.Element("annotation")
    _add(root, {"folder": "shapes", "filename": f"{name}.jpg", "segmented": 1})
    _add(ElementTree.SubElement(root, "size"), {"width": width, "height": height, "depth": depth})
    for number, label in enumerate(drawn.classes, start=1):
        node = ElementTree.SubElement(root, "object")
        _add(node, {"name": CLASSES[label - 1], "pose": "Unspecified", "truncated": 0, "difficult": 0})
        y, x = np.nonzero(drawn.instances == number)
        box = {"xmin": x.min() + 1, "ymin": y.min() + 1, "xmax": x.max() + 1, "ymax": y.max() + 1}
        _add(ElementTree.SubElement(node, "bndbox"), box)
    ElementTree.indent(root)
    return ElementTree.tostring(root)


def _add(node: ElementTree.Element, texts: dict[str, object]) -> None:
    for tag, text in texts.items():
        ElementTree.SubElement(node, tag).text = str(text)


def _write(path: Path, data: bytes) -> None:
    replace_file(path, lambda temporary: temporary.write_bytes(data))
