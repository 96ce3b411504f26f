"""Colours of foreground and background as mixtures of Gaussians (Rother, Kolmogorov & Blake, GrabCut, SIGGRAPH
2004).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture

_DRAWN = 1000  # pixels a model is fitted to
_SPREAD = 1e-4  # added to the variances, of colours in 0..1: about 2.5 grey levels
_CHANGE = 1e9  # of the likelihood: two steps of EM are enough, as a model is fitted anew after every cut
_STEP = 8  # grey levels that count as one colour: densities are computed once for a tenth of the pixels

Colours = NDArray[np.floating]


@dataclass(frozen=True)
class Palette:
    """The colours (U, 3) in 0..1 that an image has, in steps of 8 grey levels, and which of them a pixel has (H, W)."""

    colours: Colours
    codes: NDArray[np.intp]

    def of(self, mask: NDArray[np.bool_]) -> Colours:
        """Colours of the pixels in a mask (H, W): (P, 3)."""
        return self.colours[self.codes[mask]]


def make_palette(image: NDArray[np.uint8]) -> Palette:
    """Of an image (H, W, 3)."""
    levels = (image // _STEP).astype(np.int64) @ np.array([256 * 256, 256, 1])
    values, codes = np.unique(levels, return_inverse=True)
    colours = np.stack([values >> 16, values >> 8 & 255, values & 255], axis=1)
    return Palette((colours + 0.5) * _STEP / 256, codes.reshape(levels.shape))


@dataclass(frozen=True)
class ColourModels:
    """Mixtures of Gaussians of the foreground's colours and of the background's."""

    foreground: Any
    background: Any

    def costs(self, palette: Palette) -> NDArray[np.float64]:
        """Negative log densities of an image's pixels: (2, H, W), as foreground and as background."""
        models = (self.foreground, self.background)
        return -np.stack([model.score_samples(palette.colours) for model in models])[:, palette.codes]


def fit_models(foreground: Colours, background: Colours, *, components: int, seed: int) -> ColourModels | None:
    """Models of colours (P, 3) and (Q, 3) in 0..1; None where either has fewer colours than `components`."""
    if min(len(foreground), len(background)) < components:
        return None
    fitted = [fit_colours(colours, components=components, seed=seed) for colours in (foreground, background)]
    return ColourModels(*fitted)


def fit_colours(colours: Colours, *, components: int, seed: int) -> Any:
    """A mixture of `components` Gaussians of colours (P, 3) in 0..1, from at most 1,000 of them.

    Raises:
        ValueError: fewer colours than components.
    """
    drawn = draw_colours(colours, _DRAWN, np.random.default_rng(seed))
    model: Any = GaussianMixture(  # type: ignore[no-untyped-call]
        components, reg_covar=_SPREAD, tol=_CHANGE, init_params="k-means++", random_state=seed
    )
    return model.fit(drawn)


def draw_colours(colours: Colours, most: int, rng: np.random.Generator) -> Colours:
    """At most so many of colours (P, 3), at random."""
    return colours if len(colours) <= most else colours[rng.choice(len(colours), most, replace=False)]
