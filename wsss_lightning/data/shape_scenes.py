"""Layout of the generated images: scenes of one to three objects, and pictures of one figure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import cv2
import numpy as np

from wsss_lightning.data.shape_figures import (
    BRICK,
    DARK,
    EGG,
    KINDS,
    LIGHT,
    PART,
    STAR,
    TENT,
    Figure,
    FigureKind,
    Textured,
    paint_figure,
    random_colour,
    random_figure,
)
from wsss_lightning.data.shape_textures import BACKGROUNDS, Bytes, Ground, cobble, reeds, turned_grid

# Classes (1-based) that live on one background, seven times in eight; both share their body with a class that does not.
HABITATS = {2: reeds, 6: cobble}
OUTLINES = (EGG, BRICK, TENT, STAR)

# The eight classes, their parts on the next body, and the bodies alone.
PICTURE_KINDS = (
    KINDS
    + tuple(FigureKind(OUTLINES[(OUTLINES.index(kind.outline) + 1) % 4], kind.texture) for kind in KINDS)
    + tuple(FigureKind(outline, None) for outline in OUTLINES)
)

Item = TypeVar("Item")


@dataclass(frozen=True)
class Scene:
    """A scene of size (S, S): what is seen, and what each pixel belongs to.

    `classes[i]` is the class, 1..8, of object i + 1; `instances` holds 0 or an object's number; `parts` holds 0,
    1 body, 2 discriminative part, 3 thin part, and is 0 wherever `instances` is: distractors are background.
    """

    image: Bytes
    classes: tuple[int, ...]
    instances: Bytes
    parts: Bytes

    def mask(self) -> Bytes:
        """Class of each pixel: 0 background, 1..8, and 255 on a border of 1 px around each object.

        The border lies on the background's side, or on the earlier object's, so that thin parts are left.
        """
        padded = np.pad(self.instances, 1, mode="edge")
        neighbours = np.stack([padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]])
        classes = np.array((0, *self.classes), np.uint8)[self.instances]
        return np.where(neighbours.max(axis=0) > self.instances, np.uint8(255), classes)


def scene(index: int, *, split: int, size: int = 128, seed: int = 0, textured: Textured = "part") -> Scene:
    """The scene that (seed, split, index) determine: the same on every machine, whatever was made before."""
    rng = np.random.default_rng([seed, split, index])
    classes = _random_classes(rng)
    canvas = _random_background(rng, size, classes)
    while True:
        figures = _random_layout(rng, size, classes)
        maps = [figure.parts(size) for figure in figures]
        instances, parts = _stack(figures, maps)
        if _acceptable(figures, maps, instances, parts):
            break
    for figure, drawn in zip(figures, maps, strict=True):
        paint_figure(rng, canvas, figure, drawn, textured=textured)
    return Scene(_photograph(rng, canvas), classes, instances, parts)


def figure_picture(index: int, *, size: int = 96, seed: int = 0) -> tuple[Bytes, int]:
    """A picture of one figure, for classification: the stand-in for ImageNet.

    Args:
        index: any natural number; with `seed` it determines the picture.
        size: edge in px; figures grow with it, the texture of parts does not.
        seed: of the whole set.

    Returns:
        The picture (size, size, 3) uint8 and its label, `index` modulo the number of picture classes.
    """
    label = index % len(PICTURE_KINDS)
    rng = np.random.default_rng([seed, 2, index])
    canvas = _random_background(rng, size, ())
    x, y = rng.integers(size * 3 // 8, size * 5 // 8, 2).tolist()
    area = int(rng.integers(size * size * 12 // 100, size * size * 45 // 100))
    figure = random_figure(rng, PICTURE_KINDS[label], centre=(x, y), area=area)
    paint_figure(rng, canvas, figure, figure.parts(size))
    return _photograph(rng, canvas), label


def web_picture(
    number: int,
    *,
    layout: int,
    light: int,
    size: int = 128,
    seed: int = 0,
    textured: Textured = "part",
    area: tuple[int, int] = (24, 46),
) -> Scene:
    """One large figure on a quiet ground, as people upload pictures of one thing: what stands in for a web search.

    It is seen from one of four sides, give or take 11 degrees, as things in photographs stand upright.

    Args:
        number: of its kind in `PICTURE_KINDS`; the first eight are the classes 1..8, all others are background.
        layout: any natural number; with `number` and `seed` it determines the figure, its place and the ground.
        light: likewise the light, the focus and the noise: two pictures of one layout are near-duplicates.
        size: edge in px.
        seed: of the whole collection.
        textured: where a class's texture is.
        area: of the body, per cent of the picture, from and below.
    """
    rng = np.random.default_rng([seed, 3, number, layout])
    canvas = _random_background(rng, size, (), clutter=(0, 4), contrast=96)
    x, y = rng.integers(size * 7 // 16, size * 9 // 16, 2).tolist()
    pixels = size * size * int(rng.integers(*area)) // 100
    figure = random_figure(rng, PICTURE_KINDS[number], centre=(x, y), area=pixels)
    turn = (64 * int(rng.integers(4)) + int(rng.integers(-8, 9))) % 256
    figure = replace(figure, turn=turn)
    drawn = figure.parts(size)
    paint_figure(rng, canvas, figure, drawn, textured=textured)
    classes = (number + 1,) if number < len(KINDS) else ()
    image = _photograph(np.random.default_rng([seed, 4, number, layout, light]), canvas)
    return Scene(image, classes, (drawn > 0) * np.uint8(len(classes)), drawn * np.uint8(len(classes)))


def _choose(rng: np.random.Generator, items: Sequence[Item]) -> Item:
    return items[int(rng.integers(len(items)))]


def _random_classes(rng: np.random.Generator) -> tuple[int, ...]:
    """One to three classes, from the rearmost object to the foremost; at most one of them has a habitat."""
    # 7 + 7 of 32 first draws make up for the later ones, 0.75 on average, which only the other six classes enter
    homeless = [number for number in range(1, len(KINDS) + 1) if number not in HABITATS]
    drawn = [_choose(rng, 7 * list(HABITATS) + 3 * homeless)]
    drawn += [_choose(rng, homeless) for _ in range(_choose(rng, (0, 0, 0, 0, 1, 1, 2, 2)))]
    front = int(rng.integers(len(drawn)))
    return (*drawn[front:], *drawn[:front])


def random_ground(rng: np.random.Generator, classes: tuple[int, ...]) -> Ground:
    """A class's habitat seven times in eight, else any of the six backgrounds."""
    homes = [HABITATS[number] for number in classes if number in HABITATS]
    return homes[0] if homes and rng.integers(8) else _choose(rng, BACKGROUNDS)


def _random_background(
    rng: np.random.Generator,
    size: int,
    classes: tuple[int, ...],
    *,
    clutter: tuple[int, int] = (6, 15),
    contrast: int = 256,
) -> Bytes:
    """A textured ground between two colours, or `contrast` / 256 of the way, with clutter, (S, S, 3) uint8."""
    ground = random_ground(rng, classes)
    weights = np.arange(256)[:, None] * contrast // 256
    ramp = random_colour(rng, DARK + LIGHT) * (255 - weights) + random_colour(rng, DARK + LIGHT) * weights
    canvas: Bytes = (ramp // 255).astype(np.uint8)[ground(rng, size)]
    for _ in range(rng.integers(*clutter)):
        _drop_clutter(rng, canvas)
    return canvas


def _drop_clutter(rng: np.random.Generator, canvas: Bytes) -> None:
    """Draw a stick or a small polygon anywhere on the canvas, in place."""
    corners = rng.integers(-9, 10, (int(rng.integers(2, 6)), 2)) + rng.integers(0, len(canvas), 2)
    colour = random_colour(rng, DARK + LIGHT).tolist()
    if len(corners) == 2:
        cv2.line(canvas, corners[0].tolist(), corners[1].tolist(), colour, int(rng.integers(1, 3)))
    else:
        cv2.fillPoly(canvas, [corners.astype(np.int32)], colour)


def _random_layout(rng: np.random.Generator, size: int, classes: tuple[int, ...]) -> list[Figure]:
    """Figures from back to front: in half of the scenes a distractor, in a random place among the objects."""
    share = int(rng.integers(30, 80))  # of the image, in percent, over all objects
    kinds = [KINDS[number - 1] for number in classes]
    figures = [_random_object(rng, size, kind, share=share // len(classes)) for kind in kinds]
    for _ in range(rng.integers(2)):
        body = FigureKind(_choose(rng, OUTLINES), None)
        figures.insert(
            int(rng.integers(len(figures) + 1)), _random_object(rng, size, body, share=int(rng.integers(4, 13)))
        )
    return figures


def _random_object(rng: np.random.Generator, size: int, kind: FigureKind, *, share: int) -> Figure:
    x, y = rng.integers(size // 6, size - size // 6, 2).tolist()
    return random_figure(rng, kind, centre=(x, y), area=size * size * share * int(rng.integers(60, 141)) // 10000)


def _stack(figures: list[Figure], maps: list[Bytes]) -> tuple[Bytes, Bytes]:
    """Instances and parts (S, S) of the figures, painted one over the other."""
    instances, parts = np.zeros_like(maps[0]), np.zeros_like(maps[0])
    number = 0
    for figure, drawn in zip(figures, maps, strict=True):
        covered, is_object = drawn > 0, figure.kind.texture is not None
        number += is_object
        instances[covered] = number if is_object else 0
        parts[covered] = drawn[covered] if is_object else 0
    return instances, parts


def _acceptable(figures: list[Figure], maps: list[Bytes], instances: Bytes, parts: Bytes) -> bool:
    """Whether 5 to 60 % of the image is object, and of each object half, and of its part two thirds, is seen."""
    objects = [(figure, drawn) for figure, drawn in zip(figures, maps, strict=True) if figure.kind.texture is not None]
    for number, (figure, drawn) in enumerate(objects, start=1):
        visible = instances == number
        part = np.count_nonzero(visible & (parts == PART))
        if 2 * np.count_nonzero(visible) < np.count_nonzero(drawn) or part < 2 * figure.part_radius**2:
            return False
    return 5 * instances.size <= 100 * int(np.count_nonzero(instances)) <= 60 * instances.size


def _photograph(rng: np.random.Generator, canvas: Bytes) -> Bytes:
    """Light that falls off to one side, a soft focus half of the time, and noise: (S, S, 3) uint8."""
    size = len(canvas)
    slope, _ = turned_grid(size, (size // 2, size // 2), int(rng.integers(256)))
    light = int(rng.integers(200, 300)) + slope * int(rng.integers(80)) // (8 * size)
    image = _soften(canvas) if rng.integers(2) else canvas
    noise = rng.integers(-8, 9, (2, *image.shape), dtype=np.int8).sum(axis=0, dtype=np.int32)
    lit: Bytes = ((image * light[..., None] >> 8) + noise).clip(0, 255).astype(np.uint8)
    return lit


def _soften(image: Bytes) -> Bytes:
    """Average with weights (1, 2, 1) / 4 along both axes."""
    p = np.pad(image.astype(np.uint16), ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = p[:-2] + 2 * p[1:-1] + p[2:]
    soft: Bytes = ((rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) >> 4).astype(np.uint8)
    return soft
