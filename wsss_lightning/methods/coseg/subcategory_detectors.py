"""Detector of a visual subcategory: a linear SVM on the features of its boxes (Chen et al., CVPR 2014).

Theirs is a latent SVM (DPM) without parts; here boxes are those of the nodes and do not move.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.svm import LinearSVC

from wsss_lightning.methods.coseg.hog import Floats, Shape

_FIRST = 2000  # negative windows of the first fit
_ROUNDS = 2  # of adding the negatives that the last fit does not tell apart by its margin


@dataclass(frozen=True)
class Detectors:
    """Settings of the subcategories' detectors.

    Attributes:
        cost: C of the SVM.
        negatives: images of other classes.
        windows: of each of these, at most.
        threshold: least score of a detection; negatives are kept below -1.
        overlap: of two detections in an image, above which the lower one goes.
    """

    cost: float
    negatives: int
    windows: int
    threshold: float
    overlap: float


@dataclass(frozen=True)
class Detector:
    """A window x of `shape` cells scores weights . x + offset."""

    shape: Shape
    weights: Floats
    offset: float


def fit_detector(positives: Floats, negatives: Floats, shape: Shape, settings: Detectors, *, seed: int) -> Detector:
    """Fit it to windows (P, h w 31) of a subcategory and (N, h w 31) of anything else.

    Negatives beyond the first ones are added where they score above -1.
    """
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(negatives), bool)
    chosen[rng.choice(len(negatives), min(len(negatives), _FIRST), replace=False)] = True
    for _ in range(_ROUNDS + 1):
        windows: NDArray[np.float32] = np.concatenate([positives, negatives[chosen]])
        labels = np.arange(len(windows)) < len(positives)
        machine: Any = LinearSVC(C=settings.cost, random_state=seed).fit(windows, labels)  # type: ignore[no-untyped-call]
        hard = machine.decision_function(negatives) > -1
        if not (hard & ~chosen).any():
            break
        chosen |= hard
    return Detector(shape, machine.coef_[0].astype(np.float32), float(machine.intercept_[0]))
