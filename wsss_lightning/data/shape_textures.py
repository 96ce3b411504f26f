"""Two-colour textures of the generated shapes: eight for parts, six for backgrounds.

All arithmetic per pixel is in integers (coordinates in 1/16 px, directions in 1/256 turn) and of a numpy ``Generator``
only `integers` is used, so that an image is the same on every machine.
"""

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Integers = NDArray[np.int32]
Pattern = NDArray[np.bool_]

_TURNS = [math.tau * k / 256 for k in range(256)]
# (4096 cos, 4096 sin), rounded: the last bit of a machine's cosine does not matter
DIRECTIONS = [(round(4096 * math.cos(turn)), round(4096 * math.sin(turn))) for turn in _TURNS]


def turned_grid(size: int, centre: tuple[int, int], turn: int) -> tuple[Integers, Integers]:
    """Coordinates (u, v), each (size, size) in 1/16 px, in axes at `centre` (x, y in px) turned by `turn` / 256."""
    cosine, sine = DIRECTIONS[turn]
    x = np.arange(size, dtype=np.int32)[None, :] - centre[0]
    y = np.arange(size, dtype=np.int32)[:, None] - centre[1]
    return (x * cosine + y * sine) >> 8, (y * cosine - x * sine) >> 8


# Part textures: (u, v, period), all in 1/16 px with the origin at the part's centre -> where the part is light.


def stripe(u: Integers, _v: Integers, period: int) -> Pattern:
    """Parallel bands."""
    return _even(2 * u // period)


def check(u: Integers, v: Integers, period: int) -> Pattern:
    """A chessboard."""
    return _even(2 * u // period + 2 * v // period)


def dot(u: Integers, v: Integers, period: int) -> Pattern:
    """Round dots on a square lattice."""
    return (u % period - period // 2) ** 2 + (v % period - period // 2) ** 2 < period**2 // 10


def net(u: Integers, v: Integers, period: int) -> Pattern:
    """Thin lines that cross."""
    return np.minimum(u % period, v % period) < period * 5 // 16


def ring(u: Integers, v: Integers, period: int) -> Pattern:
    """Concentric rings."""
    radius = np.sqrt(u**2 + v**2).astype(np.int32)  # IEEE 754 rounds a square root the same way everywhere
    return _even(2 * radius // period)


def ray(u: Integers, v: Integers, _period: int) -> Pattern:
    """Eight sectors around the centre, alternately light and dark, whatever the period."""
    return (u > 0) ^ (v > 0) ^ (np.abs(u) > np.abs(v))


def zigzag(u: Integers, v: Integers, period: int) -> Pattern:
    """Bands that turn by a right angle every period."""
    return _even(2 * (v + np.abs(u % (2 * period) - period)) // period)


def mosaic(u: Integers, v: Integers, period: int) -> Pattern:
    """Square tiles, light or dark without any order."""
    column, row = 2 * u // period, 2 * v // period
    return _even((column * 73 ^ row * 151) * 2971 >> 7)  # a hash of the tile's place


def _even(numbers: Integers) -> Pattern:
    return np.asarray(numbers % 2 == 0)


Texture = Callable[[Integers, Integers, int], Pattern]


# Backgrounds: (generator, size) -> how light a pixel is, 0..255.


def gravel(rng: np.random.Generator, size: int) -> Bytes:
    """Grains of two pixels."""
    return smooth_noise(rng, size, cell=2)


def clouds(rng: np.random.Generator, size: int) -> Bytes:
    """Soft blots."""
    return smooth_noise(rng, size, cell=20) // 4 * 3 + smooth_noise(rng, size, cell=6) // 4


def reeds(rng: np.random.Generator, size: int) -> Bytes:
    """Blades of uneven width, bent sideways."""
    u, _ = _random_grid(rng, size)
    bent = (u >> 4) + smooth_noise(rng, size, cell=24).astype(np.int32) // 16
    return _levels(rng, bent // 3)


def tiles(rng: np.random.Generator, size: int) -> Bytes:
    """Square tiles of several shades between dark joints."""
    u, v = _random_grid(rng, size)
    pitch = int(rng.integers(12, 21)) << 4
    shades = _levels(rng, u // pitch * 7 + v // pitch * 13) // 2 + 127
    joints = np.minimum(u % pitch, v % pitch) < 32
    return np.where(joints, np.uint8(0), shades)


def cobble(rng: np.random.Generator, size: int) -> Bytes:
    """Cells around random points, each of one shade that falls off towards its border."""
    y, x = rng.integers(0, size, (2, size * size // 500, 1, 1), dtype=np.int32)
    grid = np.arange(size, dtype=np.int32)
    squared: Integers = (grid[:, None] - y) ** 2 + (grid - x) ** 2
    fall: Bytes = squared.min(axis=0).clip(max=120).astype(np.uint8)
    return _levels(rng, squared.argmin(axis=0)) // 2 + 120 - fall


def planks(rng: np.random.Generator, size: int) -> Bytes:
    """Broad boards, each shaded across."""
    u, _ = _random_grid(rng, size)
    pitch = int(rng.integers(16, 25)) << 4
    return _levels(rng, u // pitch) // 2 + (u % pitch * 127 // pitch).astype(np.uint8)


Ground = Callable[[np.random.Generator, int], Bytes]
BACKGROUNDS: tuple[Ground, ...] = (gravel, clouds, reeds, tiles, cobble, planks)


def smooth_noise(rng: np.random.Generator, size: int, *, cell: int) -> Bytes:
    """Noise (size, size) uint8, independent at points `cell` px apart and interpolated between them."""
    coarse = rng.integers(0, 256, (size // cell + 2, size // cell + 2), dtype=np.uint8)
    fine = coarse.shape[0] * cell
    enlarged = cv2.resize(coarse, (fine, fine), interpolation=cv2.INTER_LINEAR_EXACT)  # EXACT: in fixed point
    return np.asarray(enlarged[:size, :size], dtype=np.uint8)


def _random_grid(rng: np.random.Generator, size: int) -> tuple[Integers, Integers]:
    x, y, turn = rng.integers(0, (size, size, 256)).tolist()
    return turned_grid(size, (x, y), turn)


def _levels(rng: np.random.Generator, numbers: NDArray[np.integer]) -> Bytes:
    """One random level, 0..255, for each number modulo 64."""
    levels: Bytes = rng.integers(0, 256, 64, dtype=np.uint8)[numbers % 64]
    return levels
