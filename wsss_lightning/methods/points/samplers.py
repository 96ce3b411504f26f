"""From score maps to labelled points: the four samplings of the paper's Table 2 (points sec. 3.2 and 4.2).

Two classes may choose one location, since each samples by itself (eqs 3-4 know no other class): both points are kept,
the classifier then sees one feature vector with two labels, and eq 5 counts the location once.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wsss_lightning.methods.points.sampling import (
    Similarity,
    background_points_by,
    diverse_points_by,
    spatial_similarity,
    top_points,
)


@dataclass(frozen=True)
class Evidence:
    """What a sampler sees of one training image whose tags name F classes.

    `scores`: (F, h, w) their score maps; `similarity`: z_i . z of all P = h w locations, given i; `present`: (F,) int64
    labels 1..C of the classes; `peaks`: (F,) mean over a class's images of their highest score; `seed`: of the image.
    """

    scores: Tensor
    similarity: Similarity
    present: Tensor
    peaks: Tensor
    seed: int


@dataclass(frozen=True)
class Points:
    """Labelled locations of one image: flat grid indices (P,) int64 and labels (P,) int64, 0 = background."""

    locations: Tensor
    labels: Tensor


class Diverse:
    """Highest scores, penalised by similarity of features to what is picked already: eqs 3-5, `k` points each.

    `positive`: only where a score is above 0, so fewer than `k` of a class that is seen in few places.
    """

    def __init__(self, *, k: int, positive: bool = False) -> None:
        self.k, self.positive = k, positive

    def __call__(self, image: Evidence) -> Points:
        chosen = [diverse_points_by(s, image.similarity, self.k) for s in image.scores.flatten(1)]
        return _with_background(chosen, image, image.similarity, k=self.k, positive=self.positive)


class TopK:
    """The `k` highest scores of each class; background as in eq 5; `positive`: see `Diverse`."""

    def __init__(self, *, k: int, positive: bool = False) -> None:
        self.k, self.positive = k, positive

    def __call__(self, image: Evidence) -> Points:
        chosen = [top_points(s, self.k) for s in image.scores.flatten(1)]
        return _with_background(chosen, image, image.similarity, k=self.k, positive=self.positive)


class Spatial:
    """Eqs 3-5 with nearness in the image, exp(-d^2 / 2 sigma^2), in place of the dot product of features.

    `sigma`: share of the grid's longer side; the paper names no value. `positive`: see `Diverse`.
    """

    def __init__(self, *, k: int, sigma: float, positive: bool = False) -> None:
        self.k, self.sigma, self.positive = k, sigma, positive

    def __call__(self, image: Evidence) -> Points:
        height, width = image.scores.shape[-2:]
        near = spatial_similarity(height, width, self.sigma * max(height, width))
        chosen = [diverse_points_by(s, near, self.k) for s in image.scores.flatten(1)]
        return _with_background(chosen, image, near, k=self.k, positive=self.positive)


class Dense:
    """Every location labelled by its best class, or background below `threshold` (sec. 4.2; paper: 0.2).

    Scores are divided by `peaks`, so that on average a class's images peak at 1; the image's tags limit the classes,
    as they do in the other samplings. Of each image `kept` locations, drawn uniformly, enter the store: a batch of
    random points then has the same distribution as if all of them did.
    """

    def __init__(self, *, threshold: float, kept: int) -> None:
        self.threshold = threshold
        self.kept = kept

    def __call__(self, image: Evidence) -> Points:
        scaled = image.scores.flatten(1) / image.peaks[:, None]
        best, index = scaled.max(dim=0)
        labels = torch.where(best < self.threshold, 0, image.present[index])
        drawn = np.random.default_rng(image.seed).permutation(len(labels))[: self.kept]
        locations = torch.from_numpy(np.sort(drawn))
        return Points(locations=locations, labels=labels[locations])


def _with_background(
    chosen: list[Tensor], image: Evidence, similarity: Similarity, *, k: int, positive: bool
) -> Points:
    """The points of each class, with `positive` those of a positive score alone, and, by eq 5, `k` of background."""
    if positive:
        maps = image.scores.flatten(1)
        chosen = [points[scores[points] > 0] for points, scores in zip(chosen, maps, strict=True)]
    foreground = torch.cat(chosen)
    background = background_points_by(similarity, foreground, k, size=image.scores[0].numel())
    labels = torch.cat([torch.full_like(c, int(p)) for c, p in zip(chosen, image.present, strict=True)])
    return Points(
        locations=torch.cat([foreground, background]), labels=torch.cat([labels, torch.zeros_like(background)])
    )
