"""What the score S of eqs. 3 and 4 is, given a localizer's two maps S and S̄: the conventions to choose from.

From "Diverse Sampling for Self-Supervised Learning of Semantic Segmentation", secs. 3.1 and 3.2. Training leaves some
of S undetermined: eq. 2 does not change when a constant is added to both maps of an image, eq. 1 not even when it
differs from location to location. Eq. 4 multiplies by S all the same, and where S is negative its penalty for
similarity becomes a reward. Every function takes S and S̄, (..., H, W) each, and returns scores of that shape; all but
`raw_scores` and the last are unchanged by such constants under eq. 2, all but `raw_scores` never negative, and
`pixel_probabilities` is unchanged under eq. 1 too.
"""

import torch
from torch import Tensor


def raw_scores(foreground: Tensor, background: Tensor) -> Tensor:  # noqa: ARG001
    """S as it comes: whatever its zero happens to be."""
    return foreground


def shift_scores(foreground: Tensor, background: Tensor) -> Tensor:  # noqa: ARG001
    """S minus its minimum over the image: for eq. 2, which determines S up to a constant of the image."""
    return foreground - foreground.amin(dim=(-2, -1), keepdim=True)


def pixel_probabilities(foreground: Tensor, background: Tensor) -> Tensor:
    """exp S / (exp S + exp S̄) at each location, the map whose maximum is eq. 1; in [0, 1]."""
    return torch.sigmoid(foreground - background)


def global_probabilities(foreground: Tensor, background: Tensor) -> Tensor:
    """exp S(i) / (max_j exp S(j) + max_l exp S̄(l)), the map whose maximum is eq. 2; in [0, 1].

    The paper says that eq. 2 "does not provide per-location probability map", and this is none: it is eq. 2 with i in
    place of the best location, which ranks locations as S does and has no free constant.
    """
    best, other = foreground.amax(dim=(-2, -1), keepdim=True), background.amax(dim=(-2, -1), keepdim=True)
    return torch.exp(foreground - best) * torch.sigmoid(best - other)


def strong_scores(foreground: Tensor, background: Tensor, *, share: float, shifted: bool = False) -> Tensor:
    """What exceeds `share` of the image's highest score, else 0: eq. 4 then never asks for a weak place.

    For an S whose zero means something, as that of class activation maps; `shifted`: of S minus its minimum.
    """
    scores = shift_scores(foreground, background) if shifted else foreground.relu()
    return (scores - share * scores.amax(dim=(-2, -1), keepdim=True)).relu()
