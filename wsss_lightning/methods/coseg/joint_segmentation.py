"""Segmentation of the boxes of a subcategory, together: each image has its colours, and all share some (Chen et al.,
CVPR 2014, as their code goes about it).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from wsss_lightning.methods.coseg.box_masks import (
    Mask,
    average_mask,
    border_share,
    cleaned,
    filled,
    location_costs,
    pasted,
)
from wsss_lightning.methods.coseg.colour_models import (
    ColourModels,
    Colours,
    Palette,
    draw_colours,
    fit_models,
    make_palette,
)
from wsss_lightning.methods.coseg.graph_cut import GridEdges, contrast_edges, graph_cut
from wsss_lightning.methods.coseg.hog import Floats, Image, shrunk

_CONVERGED = 1e-3  # share of an image's pixels; fewer changes count as none
_STILL = 0.1  # share of the images; the rounds end once fewer change
_SHARED = 200  # pixels of an image that the group's models are fitted to, at most


@dataclass(frozen=True)
class Joint:
    """Settings of `segment_jointly`.

    Attributes:
        side: px, the longer side of the images that are cut.
        most: members of a subcategory, those with the most votes.
        components: Gaussians of a colour model.
        frame: share of a box's sides that is background to begin with, since a box may leave no pixel around it.
        group_weight: of the group's colour costs beside the image's own.
        smoothness: cost of a boundary between two equal pixels of an image at its own size; where the image is shrunk,
            in proportion, since an object's boundary shrinks less than its area.
        rounds: of fitting colours and cutting, at most.
        border: share of a box's border in the foreground above which a segmentation is bad, and sees where the good
            ones lie.
        canvas: px, sides of the average mask.
    """

    side: int
    most: int
    components: int
    frame: float
    group_weight: float
    smoothness: float
    rounds: int
    border: float
    canvas: int


@dataclass(frozen=True)
class BoxedImage:
    """An image with a box: its colours, the edges of its grid, and its mask (H, W) so far."""

    box: Floats
    palette: Palette
    edges: GridEdges
    mask: Mask

    def parted(self) -> tuple[Colours, Colours]:
        """Colours of foreground and background."""
        return self.palette.of(self.mask), self.palette.of(~self.mask)


def boxed_image(image: Image, box: Floats, settings: Joint) -> BoxedImage:
    """Shrink an image (H, W, 3) to `settings.side`; begin with its box (4,), less its frame, as the foreground."""
    small = shrunk(image, settings.side)
    scale = np.divide(small.shape[:2], image.shape[:2])
    edges = contrast_edges(small, smoothness=settings.smoothness * float(scale.max()), neighbours=4)
    where = box * np.tile(scale[::-1], 2).astype(np.float32)
    frame = settings.frame * np.tile(where[2:] - where[:2], 2) * np.array([1, 1, -1, -1])
    return BoxedImage(where, make_palette(small), edges, filled(where + frame, (small.shape[0], small.shape[1])))


def segment_jointly(images: Sequence[BoxedImage], settings: Joint, *, seed: int) -> tuple[list[Mask], Floats]:
    """Masks (H, W) of all images, and their average on the canvas, (canvas, canvas) in 0..1.

    Outside its box a pixel is background. The average is over the good segmentations (see `Joint.border`), or over all
    where there is none.
    """
    segmented, changing = list(images), np.ones(len(images), bool)
    for _ in range(settings.rounds):
        group, average = _group_models(segmented, settings, seed), _average(segmented, settings)
        for index in np.flatnonzero(changing):
            mask = _cut(segmented[index], group, average, settings, seed)
            changing[index] = (mask != segmented[index].mask).mean() >= _CONVERGED
            segmented[index] = replace(segmented[index], mask=mask)
        if changing.mean() < _STILL:
            break
    segmented = [replace(each, mask=cleaned(each.mask)) for each in segmented]
    return [each.mask for each in segmented], _average(segmented, settings)


def _average(images: Sequence[BoxedImage], settings: Joint) -> Floats:
    good = [each for each in images if _is_good(each, settings)] or images
    return average_mask([each.mask for each in good], [each.box for each in good], settings.canvas)


def _is_good(each: BoxedImage, settings: Joint) -> bool:
    return border_share(each.mask, each.box) <= settings.border and bool(each.mask.any())


def _group_models(images: Sequence[BoxedImage], settings: Joint, seed: int) -> ColourModels | None:
    rng = np.random.default_rng(seed)
    parts = [[draw_colours(colours, _SHARED, rng) for colours in each.parted()] for each in images]
    foreground, background = (np.concatenate(colours) for colours in zip(*parts, strict=True))
    return fit_models(foreground, background, components=settings.components, seed=seed)


def _cut(each: BoxedImage, group: ColourModels | None, average: Floats, settings: Joint, seed: int) -> Mask:
    own = fit_models(*each.parted(), components=settings.components, seed=seed)
    if own is None or group is None:  # all of one label: nothing to tell apart
        return each.mask
    shape = each.mask.shape
    costs = own.costs(each.palette) + settings.group_weight * group.costs(each.palette)
    if not _is_good(each, settings):
        costs += location_costs(pasted(average, each.box, shape))
    return graph_cut(np.where(filled(each.box, shape), costs[0], np.inf), costs[1], each.edges)
