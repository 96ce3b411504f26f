"""Detections of many linear detectors in an image: overlaps, suppression, the best over a collection."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsss_lightning.methods.coseg.hog import Floats

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Detections:
    """D detections: of which detector (D,), in which image (D,), score (D,) and box (D, 4)."""

    detector: Indices
    image: Indices
    score: Floats
    box: Floats

    def __len__(self) -> int:
        return len(self.score)

    def take(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> "Detections":
        """Those at the indices, or where a mask (D,) says so."""
        return Detections(self.detector[chosen], self.image[chosen], self.score[chosen], self.box[chosen])


def join_detections(parts: list[Detections]) -> Detections:
    """All of several."""
    none = np.zeros(0, np.intp)
    whole = [Detections(none, none, np.zeros(0, np.float32), np.zeros((0, 4), np.float32)), *parts]
    return Detections(
        np.concatenate([part.detector for part in whole]),
        np.concatenate([part.image for part in whole]),
        np.concatenate([part.score for part in whole]),
        np.concatenate([part.box for part in whole]),
    )


def overlaps(first: NDArray[np.floating], second: NDArray[np.floating]) -> Floats:
    """Intersection over union of boxes (..., A, 4) and (..., B, 4): (..., A, B) in 0..1."""
    one, other = (np.moveaxis(boxes, -1, 0) for boxes in (first[..., :, None, :], second[..., None, :, :]))
    width = np.minimum(one[2], other[2]) - np.maximum(one[0], other[0])
    height = np.minimum(one[3], other[3]) - np.maximum(one[1], other[1])
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    iou: Floats = (shared / (areas[0] + areas[1] - shared)).astype(np.float32)
    return iou


def covered(boxes: Floats, by: Floats) -> Floats:
    """The share of each of boxes (D, 4) that lies in another (4,): (D,) in 0..1."""
    lower, upper = np.maximum(boxes[:, :2], by[:2]), np.minimum(boxes[:, 2:], by[2:])
    shared = np.maximum(upper - lower, 0).prod(axis=1)
    share: Floats = shared / (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return share


def suppressed(
    scores: Floats, boxes: Floats, *, overlap: float, most: int, threshold: float
) -> tuple[Indices, Indices, Floats]:
    """Greedy non-maximum suppression of many detectors that look at the same windows.

    Args:
        scores: (P, E), of every window under every detector.
        boxes: (P, 4), the windows.
        overlap: intersection over union above which a lower detection goes.
        most: detections that one detector may keep.
        threshold: least score.

    Returns:
        Detector, window and score of what stays, (D,) each, every detector's best first, round after round.
    """
    left, detectors = scores.T.copy(), np.arange(scores.shape[1])
    rounds: list[tuple[Indices, Indices, Floats]] = []
    for _ in range(most if len(scores) else 0):
        best = left.argmax(axis=1)
        score = left[detectors, best]
        good = score >= threshold
        rounds.append((detectors[good], best[good], score[good]))
        left[overlaps(boxes[best], boxes) > overlap] = -np.inf
        left[detectors, best] = -np.inf
    if not rounds:
        return np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0, np.float32)
    first, second, third = zip(*rounds, strict=True)
    return np.concatenate(first), np.concatenate(second), np.concatenate(third)


def top_detections(detections: Detections, own: Indices, *, top: int, kept: float) -> Detections:
    """The `top` best detections of each detector, of the best detectors.

    Args:
        detections: all of a collection.
        own: (E,) the image that each detector comes from; there its best detection alone counts.
        top: detections of a detector; one with fewer is dropped.
        kept: share of the remaining detectors that is kept, the best by mean score.

    Returns:
        The detections of the kept detectors, by detector and score.
    """
    order = np.lexsort((-detections.score, detections.detector))
    detections = detections.take(order)
    at_home = detections.image == own[detections.detector]
    detections = detections.take(~at_home | _first(detections.detector, at_home))
    starts = np.searchsorted(detections.detector, detections.detector)
    detections = detections.take(np.arange(len(detections)) - starts < top)
    counts = np.bincount(detections.detector, minlength=len(own))
    means = np.bincount(detections.detector, detections.score, minlength=len(own)) / np.maximum(counts, 1)
    complete = np.flatnonzero(counts == top)
    best = complete[np.argsort(-means[complete], kind="stable")][: int(np.ceil(kept * len(complete)))]
    return detections.take(np.isin(detections.detector, best))


def _first(groups: Indices, counted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where a counted entry is the first counted one of its group; groups lie together."""
    first = np.zeros(len(groups), bool)
    positions = np.flatnonzero(counted)
    first[positions[np.unique(groups[positions], return_index=True)[1]]] = True
    return first
