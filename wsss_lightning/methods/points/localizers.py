"""Localizers: one small per-location network per class (points sec. 3.1 and 4.1)."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from wsss_lightning.nn.backbones import Features
from wsss_lightning.nn.hypercolumns import Size, Standardisation, perceptron_on_maps
from wsss_lightning.nn.seeds import own_seed, seeded
from wsss_lightning.ops.resize import resize_maps

Pooling = Callable[[Tensor, Tensor], Tensor]


class Localizer(nn.Module):
    """1x1 convolution with `hidden` units, ReLU, 1x1 convolution with 2 units: S and its background twin."""

    def __init__(self, *, features: int, hidden: int, corners: bool = False) -> None:
        super().__init__()
        self.corners = corners
        self.first = nn.Linear(features, hidden)
        self.second = nn.Linear(hidden, 2)

    def forward(self, rows: Tensor) -> Tensor:
        """Hypercolumns (P, D) -> scores (P, 2), foreground first."""
        return self.second(torch.relu(self.first(rows)))  # type: ignore[no-any-return]

    def score_maps(self, maps: Sequence[Tensor], grid: Size) -> Tensor:
        """The same at every location of the images: (N, 2, *grid)."""
        return perceptron_on_maps(maps, self.first, self.second, grid, corners=self.corners)


class Localizers(nn.Module):
    """One `Localizer` per class behind a common standardisation; classes share nothing that is trained.

    The paper's do without fc7: it "makes localization worse" (sec. 4.1). `with_global` adds the global vector as one
    more map, of a single location. A class's initial weights are a function of `seed` and its name. `corners`: of the
    maps, see `nn.bilinear`.
    """

    def __init__(
        self,
        *,
        statistics: Standardisation,
        class_names: Sequence[str],
        hidden: int,
        with_global: bool = False,
        seed: int = 0,
        corners: bool = False,
    ) -> None:
        super().__init__()
        self.statistics = statistics
        self.with_global = with_global
        self.classes = nn.ModuleList()
        for name in class_names:
            with seeded(own_seed(seed, name)):
                self.classes.append(Localizer(features=len(statistics.mean), hidden=hidden, corners=corners))

    def prepare(self, features: Features) -> list[Tensor]:
        """Maps of the images as every localizer sees them."""
        whole = [features.pooled[:, :, None, None]] if self.with_global else []
        return self.statistics.on_maps([*features.maps, *whole])

    def forward(self, features: Features, classes: Sequence[int], grid: Size) -> Tensor:
        """Score maps of the images for some classes: (N, len(classes), 2, *grid), foreground first."""
        prepared = self.prepare(features)
        scores = [self.classes[c].score_maps(prepared, grid) for c in classes]  # type: ignore[operator]
        return torch.stack(scores, dim=1) if scores else features.pooled.new_zeros(len(features.pooled), 0, 2, *grid)


def score_probabilities(stored: dict[str, Tensor], size: Size, *, num_labels: int) -> Tensor:
    """Score maps `scores` (F, 2, h, w) of the classes `present` (F,) read as probabilities (L, *size).

    A softmax over S - S̄ of the classes, resized, and 0 for background; those that are not present have none.
    """
    margins = stored["scores"][:, 0] - stored["scores"][:, 1]
    logits = margins.new_full((num_labels, *size), -torch.inf)
    logits[0] = 0
    if len(margins):
        logits[stored["present"]] = resize_maps(margins[None], size)[0]
    return logits.softmax(dim=0)


def reached_locations(scores: Tensor, pooling: Pooling) -> Tensor:
    """Flat indices of the locations to which `pooling` passes a gradient; scores (2, h, w) of one image."""
    with torch.enable_grad():
        leaf = scores.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(pooling(leaf[:1], leaf[1:]).sum(), leaf)
    return (gradient != 0).any(dim=0).flatten().nonzero().flatten()
