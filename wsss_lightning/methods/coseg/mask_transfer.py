"""From a subcategory's average mask to the mask of an image (Chen et al., CVPR 2014, as their code goes about it)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from wsss_lightning.methods.coseg.box_masks import Mask, border_share, cleaned, location_costs, pasted
from wsss_lightning.methods.coseg.colour_models import ColourModels, fit_models, make_palette
from wsss_lightning.methods.coseg.detection import Indices, overlaps
from wsss_lightning.methods.coseg.grabcut import centre_box, grabcut
from wsss_lightning.methods.coseg.graph_cut import contrast_edges, graph_cut
from wsss_lightning.methods.coseg.hog import Floats, Image, shrunk
from wsss_lightning.methods.coseg.subcategories import group_boxes

_CONVERGED = 1e-3  # share of an image's pixels
_MARGIN, _ROUNDS = 0.1, 5  # of GrabCut: what the centre box leaves free of each side, and rounds, as its own row has


@dataclass(frozen=True)
class Transfer:
    """Settings of `transfer`.

    Attributes:
        side: px, the longer side of the image that colours are found on.
        overlap: of the detections of a group, intersection over union.
        group_share: least size of a group that is used, as a share of the largest.
        skipped: average masks with no more foreground than this share are not used.
        components: Gaussians of a colour model.
        smoothness: cost of a boundary between two equal pixels of an image at its own size, see `Joint`.
        rounds: of fitting colours and cutting, at most.
        border: share of a box's border in the foreground above which a mask is rejected.
        near: least overlap of a group's box with the image's seed box, see `Start`; None: seed boxes are not looked at.
        last: px, the longer side of the image of the last cut; None for its own.
        agreed: ours: a mask is what at least half of three cuts say, see `agreed_mask`.
    """

    side: int
    overlap: float
    group_share: float
    skipped: float
    components: int
    smoothness: float
    rounds: int
    border: float
    near: float | None = None
    last: int | None = None
    agreed: bool = False


@dataclass(frozen=True)
class Start:
    """Where an image's thing is without any other image: its seed box (4,), and how it may lie in it (canvas, canvas).

    Not of the authors: in small collections detections are hardly better than chance, the seed box is.
    """

    box: Floats
    average: Floats | None


def transfer(
    image: Image,
    boxes: Floats,
    scores: Floats,
    averages: Sequence[Floats],
    settings: Transfer,
    *,
    seed: int,
    start: Start | None = None,
) -> Mask:
    """Mask (H, W) of an image (H, W, 3): the union over its groups of detections; empty where none is good.

    Args:
        boxes, scores: (D, 4), (D,), detections of subcategories.
        averages: (canvas, canvas) in 0..1, the average mask of each detection's subcategory, mirrored if it was.
        start: leaves out groups that are not `settings.near` it, and is cut instead where nothing else is found.
    """
    whole = np.zeros(shrunk(image, settings.last).shape[:2], bool)
    for box, average in _placed(boxes, scores, averages, settings):
        if start is None or overlaps(box[None], start.box[None])[0, 0] >= (settings.near or 0):
            whole |= segment_with_prior(image, box, average, settings, seed=seed)
    if start is None:
        return whole
    if not whole.any() and start.average is not None:
        whole = segment_with_prior(image, start.box, start.average / start.average.max(), settings, seed=seed)
    return agreed_mask(image, whole, start.box, settings) if settings.agreed else whole


def agreed_mask(image: Image, mask: Mask, box: Floats, settings: Transfer) -> Mask:
    """Where at least half of the cuts of an image (H, W, 3) that found anything say foreground, cleaned.

    Cuts are its mask (h, w) so far, and GrabCut's from the seed box (4,) and from the centre box, which know of no
    other image: so that what a few images seem to have in common makes no mask much worse than the image alone would.
    """
    small = shrunk(image, settings.last)
    scale = np.tile(np.divide(small.shape[:2], image.shape[:2])[::-1], 2).astype(np.float32)
    boxes = (box * scale, centre_box((small.shape[0], small.shape[1]), _MARGIN))
    cuts = [cut for cut in (mask, *(grabcut(small, each, rounds=_ROUNDS) for each in boxes)) if cut.any()]
    return cleaned(2 * np.sum(cuts, axis=0) >= len(cuts)) if cuts else mask


def symmetric_mean(averages: Sequence[Floats]) -> Floats | None:
    """Mean of average masks and of them mirrored (canvas, canvas); None of none."""
    if not averages:
        return None
    mean = np.mean(averages, axis=0)
    return np.asarray((mean + mean[:, ::-1]) / 2)


def _placed(
    boxes: Floats, scores: Floats, averages: Sequence[Floats], settings: Transfer
) -> Iterator[tuple[Floats, Floats]]:
    """The best box of each chosen group, and the mean of its masks."""
    used = np.array([average.mean() > settings.skipped for average in averages], bool)
    for group in chosen_groups(boxes, scores, settings):
        members = group[used[group]]
        if len(members):
            average = np.mean([averages[index] for index in members], axis=0)
            # Where most members lie is certain; else a blurred average is never above one half.
            yield boxes[group[scores[group].argmax()]], average / average.max()


def chosen_groups(boxes: Floats, scores: Floats, settings: Transfer) -> list[Indices]:
    """Groups of overlapping detections: those nearly as large as the largest; of single ones the best alone."""
    groups = [group for group in group_boxes(boxes, settings.overlap) if len(group) > 1]
    if not groups:
        return [np.array([scores.argmax()])] if len(scores) else []
    largest = max(len(group) for group in groups)
    return [group for group in groups if len(group) >= settings.group_share * largest]


def segment_with_prior(image: Image, box: Floats, average: Floats, settings: Transfer, *, seed: int) -> Mask:
    """Cut an image (H, W, 3) by its own colours and where the average mask lies in the box; empty if rejected.

    Colours are found on the image shrunk to `settings.side`; the last cut is made at `settings.last`.
    """
    models = _fit_colours(_shrunk_image(image, box, average, settings, settings.side), settings, seed)
    fine = _shrunk_image(image, box, average, settings, settings.last)
    if models is None:
        return np.zeros(fine.prior.shape, bool)
    mask = cleaned(fine.cut(models))
    return mask if border_share(mask, fine.box) <= settings.border else np.zeros_like(mask)


def _shrunk_image(
    image: Image, box: Floats, average: Floats, settings: Transfer, side: int | None
) -> "_ImageWithPrior":
    small = shrunk(image, side)
    scale = np.divide(small.shape[:2], image.shape[:2]).astype(np.float32)
    return _ImageWithPrior(small, box * np.tile(scale[::-1], 2), average, settings.smoothness * float(scale.max()))


class _ImageWithPrior:
    """An image (H, W, 3) with the location prior that an average mask gives in a box."""

    def __init__(self, image: Image, box: Floats, average: Floats, smoothness: float) -> None:
        self.box = box
        self.prior = pasted(average, box, (image.shape[0], image.shape[1]))
        self.palette = make_palette(image)
        self.edges = contrast_edges(image, smoothness=smoothness, neighbours=8)

    def cut(self, models: ColourModels) -> Mask:
        """The best mask (H, W) under colour models and prior."""
        foreground, background = models.costs(self.palette) + location_costs(self.prior)
        return graph_cut(foreground, background, self.edges)

    def models(self, mask: Mask, *, components: int, seed: int) -> ColourModels | None:
        """Colour models of a mask and of what it leaves; None where either is all but empty."""
        return fit_models(self.palette.of(mask), self.palette.of(~mask), components=components, seed=seed)


def _fit_colours(image: _ImageWithPrior, settings: Transfer, seed: int) -> ColourModels | None:
    """Models of the last cut that left both labels; None where the prior already leaves one."""
    mask = image.prior >= 0.5
    models = image.models(mask, components=settings.components, seed=seed)
    for _ in range(settings.rounds):
        if models is None:
            break
        before, mask = mask, image.cut(models)
        fitted = image.models(mask, components=settings.components, seed=seed)
        if fitted is None or (mask != before).mean() < _CONVERGED:
            break
        models = fitted
    return models
