"""Crisp boundaries (Isola, Zoran, Krishnan & Adelson, ECCV 2014) and the regions between them.

The priors paper (sec. 3.1.3) takes its regions from the authors' `crisp-boundaries`; this is its preset "speedy", with
the deviations that `pmi`, `spectral` and the docstrings here name.
"""

from typing import Any

import cv2
import higra as hg
import numpy as np
from numpy.typing import NDArray

from wsss_lightning.ops.pmi import pmi_affinity
from wsss_lightning.ops.spectral import decimated_cut, kept_pixels

ORIENTATIONS = 8
_RADIUS = 5  # pixels with an affinity
_SMALLEST = 16  # pixels a side that leave something after halving and two decimations
_FULL = 60.0  # summed gradients that count as strength 1; the strongest edge of a photograph has 30 to 60
_BORDER = 0.03  # of the height: within it, boundaries along the image's border are suppressed
REGION_THRESHOLD = 0.24  # covers people's regions best on nine of the Berkeley validation images


def crisp_boundaries(
    image: NDArray[np.uint8], seed: int = 0, *, scale: int = 2, codes: int = 512, eigenvectors: int = 100
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Strength and direction of the boundary through each pixel.

    Args:
        image: (H, W, 3) uint8, RGB; both sides at least 16 px.
        seed: of the sampled pairs; the same seed gives the same result.
        scale: 2 works at half the resolution ("speedy"), 1 at all of it.
        codes: feature values that are told apart.
        eigenvectors: of the normalised cut, the constant one included.

    Returns:
        Strength (H, W) in 0..1, not thinned, on a scale that is the same for all images, and the direction along the
        boundary, (H, W) in [0, pi) from the x axis towards the y axis, downwards, in steps of pi / 8.

    Raises:
        ValueError: an array of another type or shape, a side below 16 px.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < _SMALLEST:
        raise ValueError(f"image must be uint8 (H, W, 3), sides of {_SMALLEST} px or more: {image.dtype} {image.shape}")
    rng = np.random.default_rng(seed)
    height, width = image.shape[:2]
    shape = (-(-height // scale), -(-width // scale))
    rows = pmi_affinity(image, kept_pixels(shape), scale=scale, codes=codes, radius=_RADIUS, rng=rng)
    values, vectors = decimated_cut(rows, shape, eigenvectors, rng)
    gradients = border_weights(shape) * oriented_gradients(values, vectors.reshape(*shape, -1))
    full = np.stack([cv2.resize(g, (width, height), interpolation=cv2.INTER_LINEAR) for g in gradients])
    direction = _angles().astype(np.float32)[full.argmax(axis=0)]
    return (full.max(axis=0) / np.float32(_FULL)).clip(0, 1), direction


def oriented_gradients(values: NDArray[np.floating], vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Sum over eigenvectors, each spanning 0..1 and divided by the root of its value, of |derivative|.

    Args:
        values: of the eigenvectors, (K,); the first, which is constant, is left out.
        vectors: (h, w, K).

    Returns:
        (8, h, w), the o-th across boundaries of direction o pi / 8.
    """
    steps = np.arange(-3, 4)
    smooth = np.exp(-steps * steps / 2)  # a Gaussian of sigma 1 and support 3
    slope = -steps * smooth
    smooth, slope = smooth / smooth.sum(), slope / np.abs(slope).sum()
    normals = np.stack([-np.sin(_angles()), np.cos(_angles())], axis=1).astype(np.float32)
    spans = np.ptp(vectors, axis=(0, 1)) * np.sqrt(values)
    gradients = np.zeros((ORIENTATIONS, vectors.shape[0] * vectors.shape[1]), np.float32)
    for k in 1 + np.flatnonzero(spans[1:] > 0):
        plane = np.ascontiguousarray(vectors[..., k] / spans[k], np.float32)
        across = cv2.sepFilter2D(plane, -1, slope, smooth, borderType=cv2.BORDER_REFLECT)
        down = cv2.sepFilter2D(plane, -1, smooth, slope, borderType=cv2.BORDER_REFLECT)
        gradients += np.abs(normals @ np.stack([across.ravel(), down.ravel()]))
    return gradients.reshape(ORIENTATIONS, *vectors.shape[:2])


def _angles() -> NDArray[np.float64]:
    return np.linspace(0, np.pi, ORIENTATIONS, endpoint=False)


def border_weights(shape: tuple[int, int]) -> NDArray[np.float32]:
    """Factors (8, h, w) in 0..1: 0 for a boundary on the image's border and along it, rising with the squared distance.

    The affinities of the pixels at the border are fewer, which looks like a boundary there.
    """
    reach = np.ceil(_BORDER * shape[0])
    lost_y, lost_x = (1 - (np.minimum(np.arange(n), n - 1 - np.arange(n)) / reach).clip(0, 1) ** 2 for n in shape)
    horizontal, vertical = np.abs(np.cos(_angles())), np.abs(np.sin(_angles()))
    lost = horizontal[:, None, None] * lost_y[:, None] + vertical[:, None, None] * lost_x
    weights: NDArray[np.float32] = (1 - lost).clip(0).astype(np.float32)
    return weights


def thin(strength: NDArray[np.floating], orientation: NDArray[np.floating]) -> NDArray[np.float32]:
    """The strength where it is largest across the boundary, 0 elsewhere (H, W); of a plateau one side stays."""
    values = strength.astype(np.float32)
    y, x = np.indices(values.shape, np.float32)
    angles = np.mod(orientation, np.pi)  # so that opposite directions agree on the side
    across_x, across_y = -np.sin(angles).astype(np.float32), np.cos(angles).astype(np.float32)
    one, other = (
        cv2.remap(values, x + s * across_x, y + s * across_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for s in (1, -1)
    )
    return np.where((values > one) & (values >= other), values, np.float32(0))


def regions(
    strength: NDArray[np.floating],
    orientation: NDArray[np.floating],
    threshold: float = REGION_THRESHOLD,
    *,
    oriented: bool = False,
) -> NDArray[np.int32]:
    """Connected regions, (H, W) int32 in 0..R-1, between boundaries stronger than a threshold.

    Args:
        strength, orientation: (H, W), of `crisp_boundaries`.
        threshold: in 0..1, higher for fewer regions.
        oriented: as in `hierarchy`; `orientation` is not used without.
    """
    return cut(hierarchy(strength, orientation, oriented=oriented), threshold)


def hierarchy(
    strength: NDArray[np.floating], orientation: NDArray[np.floating], *, oriented: bool = False
) -> tuple[Any, NDArray[np.floating]]:
    """Watershed regions merged in the order of the mean boundary between them (Arbelaez et al., PAMI 2011), by higra.

    Args:
        strength, orientation: (H, W), of `crisp_boundaries`.
        oriented: weigh every piece of a boundary by the cosine between its direction and `orientation`, as OWT-UCM
            does. Off, since with higra's pieces the boundary between two plain textures leaks;
            `experiments/speed/boundaries.py` compares both.

    Returns:
        The tree, and the strength at which each of its nodes is formed.
    """
    graph: Any = hg.get_4_adjacency_graph(strength.shape)  # type: ignore[no-untyped-call]
    source, target = graph.edge_list()
    values = strength.ravel().astype(np.float64)
    # higra takes the gradient's direction.
    normals = orientation.ravel().astype(np.float64)[source] + np.pi / 2 if oriented else None
    weights = np.maximum(values[source], values[target])
    tree, altitudes = hg.mean_pb_hierarchy(graph, weights, edge_orientations=normals)
    return tree, altitudes


def cut(merged: tuple[Any, NDArray[np.floating]], threshold: float) -> NDArray[np.int32]:
    """Regions (H, W) int32 in 0..R-1 of a `hierarchy` at a threshold."""
    tree, altitudes = merged
    graph: Any = hg.CptHierarchy.get_leaf_graph(tree)  # type: ignore[no-untyped-call]
    labels = hg.labelisation_horizontal_cut_from_threshold(tree, altitudes, threshold)
    numbers = np.unique(labels, return_inverse=True)[1].astype(np.int32)
    pixels: NDArray[np.int32] = hg.rag_back_project_vertex_weights(graph, numbers)  # type: ignore[no-untyped-call]
    return pixels
