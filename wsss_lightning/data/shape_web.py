"""A generated collection of pictures by class name, with what searching the web returns: wrong things and copies.

It has the layout of `wsss data prepare web`, one tag per image, and masks of what is really seen, to score by.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from wsss_lightning.atomic import replace_file
from wsss_lightning.data.masks import write_mask
from wsss_lightning.data.prepare.web import IMAGES, TAGS
from wsss_lightning.data.shape_figures import Textured
from wsss_lightning.data.shape_scenes import PICTURE_KINDS, Scene, web_picture
from wsss_lightning.data.shapes import CLASSES, claim, write_jpeg
from wsss_lightning.errors import InputError
from wsss_lightning.parallel import in_parallel

MASKS = "SegmentationClass"
# What is returned for a class by mistake: the other classes and bodies without a part.
_OTHERS = [number for number, kind in enumerate(PICTURE_KINDS) if number < len(CLASSES) or kind.texture is None]


def write_web_pictures(
    root: Path,
    *,
    per_class: int,
    wrong: float,
    duplicates: float,
    size: int = 128,
    seed: int = 0,
    textured: Textured = "part",
    area: tuple[int, int] = (24, 46),
    processes: int = 1,
    progress: bool = False,
) -> None:
    """Write `JPEGImages/<class>_<number>.jpg`, `tags.csv` and `SegmentationClass/<class>_<number>.png`.

    An image whose files exist is left as it is, so that a killed call can be repeated; the tags are written last.

    Args:
        root: the folder, made if need be.
        per_class: number of images of each class.
        wrong: share of them that show something else; a larger share leaves the others as they are.
        duplicates: share that shows the image before it in another light.
        size: edge of the square images in px.
        seed: of the whole collection.
        textured: where a class's texture is: on a disc of each figure, or all over its body.
        area: of the bodies, per cent of the image, from and below.
        processes: how many draw at once; 0 for as many as there are cores.
        progress: show a bar.

    Raises:
        InputError: a share is not in 0..1, that of duplicates not in 0..1/2, `area` no range in 1..100, or `root`
            holds another collection.
    """
    if not 0 < area[0] < area[1] <= 100:
        raise InputError(f"area={[*area]}: give two numbers of per cent, the smaller one first.")
    if not (0 <= wrong <= 1 and 0 <= duplicates <= 0.5):
        raise InputError(f"wrong={wrong}, duplicates={duplicates}: give shares in 0..1 and in 0..0.5.")
    look = {"size": size, "seed": seed, "textured": textured, "area": [*area]}
    claim(root, {"per_class": per_class, "wrong": wrong, "duplicates": duplicates, **look})
    names = [(label, index) for label in range(len(CLASSES)) for index in range(per_class)]
    draw = partial(
        _write_picture,
        root=root,
        right=per_class - round(wrong * per_class),
        copies=round(duplicates * per_class),
        drawn=partial(web_picture, size=size, seed=seed, textured=textured, area=area),
        seed=seed,
    )
    for _ in in_parallel(draw, names, processes=processes, description="web pictures", progress=progress):
        pass
    lines = [f"{_image_id(*name)}.jpg,{CLASSES[name[0]]}\n" for name in names]
    replace_file(root / TAGS, lambda path: path.write_text("".join(["image,tags\n", *lines])))


def _image_id(label: int, index: int) -> str:
    return f"{CLASSES[label]}_{index:04d}"


def _write_picture(
    place: tuple[int, int], *, root: Path, right: int, copies: int, drawn: Callable[..., Scene], seed: int
) -> None:
    """Image `index` of a class: the first `right` show it, and of those before 2 * `copies` every second is a copy."""
    label, index = place
    image, mask = root / IMAGES / f"{_image_id(*place)}.jpg", root / MASKS / f"{_image_id(*place)}.png"
    if image.exists() and mask.exists():
        return
    layout = index - index % 2 if index < 2 * copies else index
    others = [number for number in _OTHERS if number != label]
    other = others[int(np.random.default_rng([seed, 5, label, index]).integers(len(others)))]
    picture = drawn(label if index < right else other, layout=layout, light=index)
    write_mask(mask, picture.mask())
    write_jpeg(image, picture.image)
