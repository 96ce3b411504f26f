"""The figures of the generated scenes: a body, thin limbs and, unless it is a distractor, a textured part."""

import math
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from wsss_lightning.data import shape_textures as textures
from wsss_lightning.data.shape_textures import DIRECTIONS, Bytes, Integers, Texture, turned_grid

BODY, PART, LIMB = 1, 2, 3  # labels of a parts map; 0 is everything else

# Outlines with the head towards +x, in thousandths of the radius.
EGG = tuple((c * 1000 // 4096, s * 720 // 4096) for c, s in DIRECTIONS[::16])
BRICK = ((1000, 600), (-1000, 600), (-1000, -600), (1000, -600))
TENT = ((1000, 0), (-700, 950), (-700, -950))
_HALF = ((1150, 0), (390, 280), (360, 1090), (-150, 460), (-930, 680), (-480, 0))
STAR = _HALF + tuple((u, -v) for u, v in _HALF[-2:0:-1])

# Dark and light colours which bodies, parts, backgrounds and clutter all draw from, so that a colour names nothing.
DARK = ((120, 40, 40), (40, 90, 50), (45, 55, 125), (95, 75, 35), (85, 45, 95), (40, 85, 95))
LIGHT = ((225, 140, 130), (150, 205, 140), (150, 165, 230), (220, 200, 120), (205, 155, 210), (145, 210, 215))

Outline = tuple[tuple[int, int], ...]
Textured = Literal["part", "body"]  # where a class's texture is: on a disc of the figure alone, or all over its body


@dataclass(frozen=True)
class FigureKind:
    """What a class looks like: an outline for the body and a texture for the part (None: a body alone)."""

    outline: Outline
    texture: Texture | None


# Two classes share each body; the twins' textures have little in common.
KINDS = (
    FigureKind(EGG, textures.stripe),
    FigureKind(EGG, textures.dot),
    FigureKind(BRICK, textures.check),
    FigureKind(BRICK, textures.ring),
    FigureKind(TENT, textures.zigzag),
    FigureKind(TENT, textures.ray),
    FigureKind(STAR, textures.net),
    FigureKind(STAR, textures.mosaic),
)


@dataclass(frozen=True)
class Figure:
    """A figure in its place.

    `radius` is in px, `turn` in 1/256 turn, `stretch` in thousandths across the head's direction; `head` is the part's
    place in the outline's frame; a limb is a direction there, in 1/256 turn, and a thickness, 1 or 2.
    """

    kind: FigureKind
    centre: tuple[int, int]
    radius: int
    turn: int
    stretch: int
    head: tuple[int, int]
    limbs: tuple[tuple[int, int], ...]

    def place(self, u: int, v: int) -> tuple[int, int]:
        """Pixel (x, y) of the point (u, v) of the outline's frame."""
        cosine, sine = DIRECTIONS[self.turn]
        along, across = u * self.radius, v * self.radius * self.stretch // 1000
        x, y = along * cosine - across * sine, along * sine + across * cosine
        return self.centre[0] + x // 4_096_000, self.centre[1] + y // 4_096_000

    @property
    def part_radius(self) -> int:
        """Two fifths of the body's, held between 7 and 15 px: large enough to show three periods of its texture."""
        return min(max(self.radius * 2 // 5, 7), 15)

    def parts(self, size: int) -> Bytes:
        """Parts map (size, size): 0 elsewhere, `BODY`, `PART`, `LIMB`."""
        drawn = np.zeros((size, size), np.uint8)
        for direction, width in self.limbs:
            cosine, sine = DIRECTIONS[direction]
            # OpenCV draws thickness 2 about 3 px wide
            cv2.line(drawn, self.centre, self.place(cosine * 1650 // 4096, sine * 1650 // 4096), LIMB, width)
        cv2.fillPoly(drawn, [np.array([self.place(u, v) for u, v in self.kind.outline], np.int32)], BODY)
        if self.kind.texture is not None:
            cv2.circle(drawn, self.place(*self.head), self.part_radius, PART, -1)
        return drawn


def random_figure(rng: np.random.Generator, kind: FigureKind, *, centre: tuple[int, int], area: int) -> Figure:
    """A figure of that kind in a random pose whose body covers about `area` px."""
    stretch = int(rng.integers(800, 1200))
    unit = abs(cv2.contourArea(np.array(kind.outline, np.float32))) * stretch / 1e9
    return Figure(
        kind=kind,
        centre=centre,
        radius=max(round(math.sqrt(area / unit)), 8),
        turn=int(rng.integers(256)),
        stretch=stretch,
        head=(int(rng.integers(450, 850)), int(rng.integers(-200, 200))),
        limbs=tuple((int(rng.integers(64, 192)), int(rng.integers(1, 3))) for _ in range(rng.integers(2, 5))),
    )


def paint_figure(
    rng: np.random.Generator, canvas: Bytes, figure: Figure, parts: Bytes, *, textured: Textured = "part"
) -> None:
    """Paint the figure, whose parts map (S, S) is given, onto `canvas` (S, S, 3), in place."""
    inside, size = parts == BODY, len(canvas)
    slope, _ = turned_grid(size, figure.centre, int(rng.integers(256)))
    shade = 230 + (slope[inside] * 2 // figure.radius).clip(-40, 40)
    canvas[inside] = shade[:, None] * random_colour(rng, DARK + LIGHT) >> 8
    canvas[parts == LIMB] = random_colour(rng, DARK + LIGHT)
    if figure.kind.texture is not None:
        u, v = turned_grid(size, figure.place(*figure.head), int(rng.integers(256)))
        inside = parts == PART if textured == "part" else (parts == PART) | (parts == BODY)
        light = figure.kind.texture(u[inside], v[inside], 40 + 6 * figure.part_radius)  # 5 to 8 px a period
        canvas[inside] = np.where(light[:, None], random_colour(rng, LIGHT), random_colour(rng, DARK))


def random_colour(rng: np.random.Generator, palette: tuple[tuple[int, int, int], ...]) -> Integers:
    """One of the palette's colours (3,), each channel shifted by up to 20."""
    chosen = np.array(palette[rng.integers(len(palette))], np.int32)
    shifted: NDArray[np.int32] = chosen + rng.integers(-20, 21, 3, dtype=np.int32)
    return shifted
