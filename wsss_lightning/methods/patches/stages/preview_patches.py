"""Stage: from an image of the class to its mask, step by step (patches figures 4 and 6)."""

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from skimage.segmentation import find_boundaries

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.images import read_image
from wsss_lightning.data.target import target_index
from wsss_lightning.methods.patches.stages.segment_patches import (
    MakeSuperpixels,
    class_probability,
    fixed_or_chosen,
    foreground,
)
from wsss_lightning.methods.patches.superpixels import Superpixels, majority_vote
from wsss_lightning.stages.drawing import WHITE, Picture, enlarged, in_rows, titled
from wsss_lightning.stages.evaluate import panel_records
from wsss_lightning.stages.io import write_picture

_GREEN = (0, 255, 0)  # Figure 4's colour of the class


def preview_patches(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    probabilities: str,
    threshold: float | str,
    superpixels: MakeSuperpixels,
    target: str,
    panels: int,
) -> None:
    """Draw `<image_id>/inference.png` of val images that show the class `target`, their masks among the pictures.

    Tags choose which images are drawn and masks stand beside the result; neither has a part in it. For the arguments
    see `segment_patches`.
    """
    index, theta = target_index(data, target), fixed_or_chosen(threshold)
    shown = [record for record in data.records("val") if record.tags[index]]
    for record in panel_records(shown, panels):
        image = read_image(record.image)
        picture = draw_inference(
            image,
            probs=class_probability(Path(probabilities), record),
            threshold=theta,
            superpixels=superpixels(image),
            truth=data.read_target(record) == index + 1,
        )
        write_picture(Path(out_dir) / record.image_id / "inference.png", picture)


def draw_inference(
    image: Picture,
    *,
    probs: NDArray[np.float32],
    threshold: float,
    superpixels: Superpixels,
    truth: NDArray[np.bool_],
) -> Picture:
    """An image, p(c = 1) from 0 in blue to 1 in red, and where it exceeds theta; below, the same in superpixels.

    Args:
        image: (H, W, 3).
        probs: p(c = 1), (H, W).
        threshold: theta.
        superpixels: (H, W).
        truth: where the class is, (H, W), drawn last.
    """
    labels = foreground(probs, threshold)
    borders = image.copy()
    borders[find_boundaries(superpixels)] = WHITE  # type: ignore[no-untyped-call]
    tiles = {
        "image": image,
        "probability": (colormaps["turbo"](probs)[..., :3] * 255).round().astype(np.uint8),
        "per pixel": in_green(image, labels > 0),
        "superpixels": borders,
        "smoothed": in_green(image, majority_vote(labels, superpixels) > 0),
        "truth": in_green(image, truth),
    }
    return in_rows([titled(enlarged(tile), title) for title, tile in tiles.items()], columns=3)


def in_green(image: Picture, where: NDArray[np.bool_]) -> Picture:
    """An image (H, W, 3) with some pixels (H, W) half green."""
    coloured = image.copy()
    coloured[where] = (coloured[where] / 2 + np.array(_GREEN) / 2).astype(np.uint8)
    return coloured
