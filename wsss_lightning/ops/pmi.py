"""Affinity of pixels by pointwise mutual information (Isola, Zoran, Krishnan & Adelson, Crisp boundary detection,
ECCV 2014).

Features A and B of neighbouring pixels that occur together more often than apart belong to one object:

    PMI_rho(A, B) = log P(A, B)^rho / (P(A) P(B)),     W = exp(PMI), multiplied over colour and texture,

with densities estimated by kernels from the image itself. The authors learn PMI as a function of (A, B) with a
regression forest on 10,000 pixel pairs; here a regression tree quantises A alone and PMI is exact for every pair of its
leaves, a table. Halving averages blocks of pixels where theirs is bicubic. Constants are their code's.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.tree import DecisionTreeRegressor

Floats = NDArray[np.float32]
Indices = NDArray[np.intp]

_PAIRS, _BANDWIDTH = 5000, 0.05  # sampled for the density, and its kernels' half width: their preset "speedy"
_RHO, _REGULARISER = 1.25, 100
_SPREAD, _REACH = 0.5, 2  # of half the offset between the pixels of a sampled pair: sigma, and largest coordinate
_TREE_PIXELS = 10_000


def pixel_features(image: NDArray[np.uint8], scale: int) -> tuple[Floats, Floats]:
    """Colour and texture, each three decorrelated channels that jointly span 0..1.

    Args:
        image: (H, W, 3) uint8, RGB.
        scale: 1 keeps the resolution, 2 halves it.

    Returns:
        CIE Lab, and the root of the local standard deviation, in a disk of radius `scale`, of the principal
        components of RGB; (ceil(H / scale), ceil(W / scale), 3) float32.
    """
    rgb = image.astype(np.float32) / np.float32(255)
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * scale + 1, 2 * scale + 1)).astype(np.float32)
    disk /= disk.sum()
    components = _rotated(rgb)
    means, squares = (cv2.filter2D(x, -1, disk, borderType=cv2.BORDER_REFLECT) for x in (components, components**2))
    texture: Any = np.maximum(squares - means**2, 0) ** 0.25
    colour: Any = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)
    first, second = (_spanning(_rotated(_shrunk(_spanning(x), scale))) for x in (colour, texture))
    return first, second


def _shrunk(values: Floats, scale: int) -> Floats:
    height, width = values.shape[:2]
    size = (-(-width // scale), -(-height // scale))
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)


def _rotated(values: Floats) -> Floats:
    """Principal components, not scaled."""
    centred = values.reshape(-1, 3) - values.mean(axis=(0, 1))
    _, axes = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    components: Floats = centred @ axes[:, ::-1].astype(np.float32)
    return components.reshape(values.shape)


def _spanning(values: Floats) -> Floats:
    """All channels moved and scaled alike so that they span 0..1; zeros where nothing varies."""
    least, most = values.min(), values.max()
    return (values - least) / (most - least) if most > least else np.zeros_like(values)


def quantise(features: Floats, codes: int, rng: np.random.Generator) -> tuple[Floats, Indices]:
    """Leaves of a regression tree from the features to themselves, whose variance within leaves is small.

    Args:
        features: (h, w, D).
        codes: most leaves M.
        rng: draws the pixels the tree is grown on.

    Returns:
        Mean feature of each leaf (M, D), at most `codes`, and each pixel's leaf (h, w).
    """
    pixels = features.reshape(-1, features.shape[-1])
    drawn = pixels[rng.choice(len(pixels), min(len(pixels), _TREE_PIXELS), replace=False)]
    tree: Any = DecisionTreeRegressor(max_leaf_nodes=codes, random_state=0)  # type: ignore[no-untyped-call]
    tree.fit(drawn, drawn)
    leaves, indices = np.unique(tree.apply(pixels), return_inverse=True)
    return tree.tree_.value[leaves, :, 0].astype(np.float32), indices.reshape(features.shape[:2])


def sample_pairs(features: Floats, count: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Features of nearby pixels, each pair ordered by its first channel: P(A, B) is symmetric, half of it suffices.

    Args:
        features: (h, w, D).
        count: pairs drawn; repeated positions and pairs that leave the image are dropped.
        rng: draws positions and offsets.

    Returns:
        A and B, each (N, D), A not below B in the first channel.
    """
    size = features.shape[:2]
    centres = np.unique(rng.integers(0, size, (count, 2)), axis=0)
    offsets = rng.normal(0, _SPREAD, centres.shape)
    offsets += offsets / np.linalg.norm(offsets, axis=1, keepdims=True)
    offsets = offsets.clip(-_REACH, _REACH)
    ends = np.rint(np.stack([centres + offsets, centres - offsets])).astype(np.intp)
    one, other = features[tuple(np.moveaxis(ends[:, ((ends >= 0) & (ends < size)).all(axis=(0, 2))], 2, 0))]
    ordered = one[:, :1] >= other[:, :1]
    return np.where(ordered, one, other), np.where(ordered, other, one)


def affinity_table(codes: Floats, first: Floats, second: Floats, bandwidth: float) -> Floats:
    """exp PMI_rho of every two codes under the kernel density of the sampled pairs, (M, M), symmetric.

    Args:
        codes: (M, D).
        first, second: A and B of `sample_pairs`.
        bandwidth: half width of the Epanechnikov kernels, a product over the channels of A and B.
    """
    near_first, near_second = _kernels(codes, first, bandwidth), _kernels(codes, second, bandwidth)
    joint = near_first @ near_second.T / np.float32(len(first))
    single = (near_first.mean(axis=1) + near_second.mean(axis=1)) / 2
    ordered = codes[:, :1] > codes[:, 0]
    joint = np.where(ordered, joint, joint.T)
    # Halved, since both orders of a pair share what is estimated in one.
    table: Floats = (_REGULARISER + joint / 2) ** np.float32(_RHO) / (np.outer(single, single) + _REGULARISER)
    return table


def _kernels(codes: Floats, samples: Floats, bandwidth: float) -> Floats:
    """Epanechnikov kernel around each sample at each code, (M, N)."""
    kernels = np.full((len(codes), len(samples)), (0.75 / bandwidth) ** codes.shape[1], np.float32)
    for channel in range(codes.shape[1]):
        distances = (codes[:, channel, None] - samples[:, channel]) / np.float32(bandwidth)
        np.square(distances, out=distances)
        np.subtract(1, distances, out=distances)
        kernels *= np.maximum(distances, 0, out=distances)
    return kernels


def affinity_rows(codes: Sequence[Indices], tables: Sequence[Floats], rows: Indices, radius: int) -> Any:
    """Affinities of some pixels with all pixels around them.

    Args:
        codes: of each feature, every pixel's code (h, w).
        tables: of each feature, the affinity of any two codes.
        rows: flat indices of the pixels, (m,).
        radius: largest Euclidean distance of two pixels with an affinity.

    Returns:
        Sparse (m, h w) float32; no pixel has one with itself.
    """
    height, width = codes[0].shape
    down, across = np.mgrid[-radius : radius + 1, -radius : radius + 1].reshape(2, -1)
    near = (down**2 + across**2 <= radius**2) & ((down != 0) | (across != 0))
    y, x = rows[:, None] // width + down[near], rows[:, None] % width + across[near]
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    columns, ends = (y * width + x)[inside], inside.sum(axis=1).cumsum()
    sources = np.repeat(rows, inside.sum(axis=1))
    values = np.ones(len(columns), np.float32)
    for code, table in zip(codes, tables, strict=True):
        values *= table[code.ravel()[sources], code.ravel()[columns]]
    return csr_array((values, columns, np.append(0, ends)), shape=(len(rows), height * width))  # type: ignore[no-untyped-call]


def pmi_affinity(
    image: NDArray[np.uint8], rows: Indices, *, scale: int, codes: int, radius: int, rng: np.random.Generator
) -> Any:
    """Affinities W of some pixels of the image shrunk by `scale` with the pixels around them.

    Args:
        image: (H, W, 3) uint8.
        rows: flat indices into the (ceil(H / scale), ceil(W / scale)) pixels, (m,).
        scale, codes, radius, rng: as in `pixel_features`, `quantise`, `affinity_rows` and `sample_pairs`.

    Returns:
        Sparse (m, h w) float32, the product over both features.
    """
    indices, tables = [], []
    for features in pixel_features(image, scale):
        means, leaves = quantise(features, codes, rng)
        tables.append(affinity_table(means, *sample_pairs(features, _PAIRS, rng), _BANDWIDTH))
        indices.append(leaves)
    return affinity_rows(indices, tables, rows, radius)
