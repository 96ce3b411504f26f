"""Visual subcategories: detectors that fire on the same boxes are merged (Chen et al., CVPR 2014; their code merges
where the paper clusters spectrally).

Boxes of different detectors that overlap in an image are one node. A detector is the set of nodes that it fires on; a
cluster is the nodes of its detectors and how many of these vote for each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsss_lightning.methods.coseg.detection import Detections, Indices, overlaps
from wsss_lightning.methods.coseg.hog import Floats

Votes = NDArray[np.intp]


@dataclass(frozen=True)
class Pass:
    """When merging ends: after `share` of the detectors merges, and once none is as similar as `similarity`."""

    share: float
    similarity: float


@dataclass(frozen=True)
class Merging:
    """Settings of `subcategories`.

    Attributes:
        overlap: of two boxes of a node, intersection over union.
        probe: the first pass, which finds detectors that agree with few others.
        final: the second pass, without them.
        dropped_mass: detectors of the probe's smallest clusters are dropped that together have this share of all
            nodes.
        dropped_most: clusters with more nodes than this are not dropped.
        members: least nodes of a subcategory.
    """

    overlap: float
    probe: Pass
    final: Pass
    dropped_mass: float
    dropped_most: int
    members: int


@dataclass(frozen=True)
class Nodes:
    """Boxes (M, 4), their image (M,), and votes (M, E): whether detector e has a detection in node m."""

    image: Indices
    box: Floats
    votes: NDArray[np.bool_]


@dataclass(frozen=True)
class Subcategory:
    """Detectors of a cluster, its nodes and how many of the detectors vote for each node."""

    detectors: tuple[int, ...]
    nodes: Indices
    votes: Votes


def group_boxes(boxes: Floats, overlap: float) -> list[Indices]:
    """Boxes (D, 4) by overlap: the box with the most others around it forms a group with them, and so on."""
    near = overlaps(boxes, boxes) > overlap
    np.fill_diagonal(near, True)
    left, groups = np.ones(len(boxes), bool), []
    while left.any():
        counts = np.where(left, near[:, left].sum(axis=1), -1)
        group = near[counts.argmax()] & left
        groups.append(np.flatnonzero(group))
        left &= ~group
    return groups


def detection_nodes(detections: Detections, *, overlap: float) -> Nodes:
    """Nodes of the detections of a collection, image by image; a node's box is the median of its group."""
    detectors, column = np.unique(detections.detector, return_inverse=True)
    images, boxes, votes = [], [], []
    for image in np.unique(detections.image):
        of_image = np.flatnonzero(detections.image == image)
        for group in group_boxes(detections.box[of_image], overlap):
            images.append(image)
            boxes.append(np.median(detections.box[of_image[group]], axis=0))
            votes.append(np.bincount(column[of_image[group]], minlength=len(detectors)) > 0)
    shape = (len(images), len(detectors))
    return Nodes(np.array(images, np.intp), np.reshape(boxes, (-1, 4)).astype(np.float32), np.reshape(votes, shape))


def subcategories(votes: NDArray[np.bool_], settings: Merging) -> list[Subcategory]:
    """Clusters of the detectors in votes (M, E), the largest first; detectors are columns of `votes`."""
    everyone = np.arange(votes.shape[1])
    probed = _clusters(votes, everyone, settings.probe)
    kept = np.array(sorted(set(everyone) - _dropped(probed, settings)), np.intp)
    final = _clusters(votes, kept, settings.final)
    large = [cluster for cluster in final if len(cluster.nodes) >= settings.members]
    return sorted(large, key=lambda cluster: (-len(cluster.nodes), cluster.detectors))


def merge(votes: NDArray[np.bool_], settings: Pass) -> list[list[int]]:
    """Columns of votes (M, E) by cluster.

    The pair with the largest |B_i n B_j| / |B_i| is merged, i into j, which then has the nodes of both. Clusters that
    share no node stay apart, however few merges there were.
    """
    count = votes.shape[1]
    sets, clusters = votes.T.astype(np.float32), {index: [index] for index in range(count)}
    similarity = sets @ sets.T / np.maximum(sets.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(similarity, 0)
    for merges in range(count - 1):
        first, second = (int(index) for index in np.unravel_index(similarity.argmax(), similarity.shape))
        highest = similarity[first, second]
        if highest == 0 or (merges >= settings.share * count and highest < settings.similarity):
            break
        clusters[second] += clusters.pop(first)
        _absorb(sets, similarity, first, second)
    return [sorted(cluster) for _, cluster in sorted(clusters.items())]


def _absorb(sets: Floats, similarity: Floats, first: int, second: int) -> None:
    sets[second] = np.maximum(sets[first], sets[second])
    sets[first] = similarity[first] = similarity[:, first] = 0
    shared, sizes = sets @ sets[second], np.maximum(sets.sum(axis=1), 1)
    similarity[:, second], similarity[second] = shared / sizes, shared / sizes[second]
    similarity[second, second] = 0


def _clusters(votes: NDArray[np.bool_], columns: Indices, settings: Pass) -> list[Subcategory]:
    clusters = []
    for cluster in merge(votes[:, columns], settings):
        detectors = columns[cluster]
        counts = votes[:, detectors].sum(axis=1)
        nodes = np.flatnonzero(counts > 1)  # a single detector's vote is no agreement
        clusters.append(Subcategory(tuple(detectors.tolist()), nodes, counts[nodes]))
    return clusters


def _dropped(clusters: Sequence[Subcategory], settings: Merging) -> set[int]:
    sizes = np.sort([len(cluster.nodes) for cluster in clusters])
    if not sizes.any():
        return set()
    reached = np.searchsorted(sizes.cumsum(), settings.dropped_mass * sizes.sum())
    limit = min(int(sizes[reached]), settings.dropped_most)
    # Where all clusters are of one size, none stands out as small.
    limit = min(limit, int(sizes[-1]) - 1)
    return {detector for cluster in clusters if len(cluster.nodes) <= limit for detector in cluster.detectors}
