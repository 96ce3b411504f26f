"""Stage: how a few val images become masks (priors figures 3 to 6)."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.segmentation import find_boundaries
from torch import Tensor

from wsss_lightning.data.base import Record, SegmentationDataModule
from wsss_lightning.data.images import read_image
from wsss_lightning.data.masks import colorize
from wsss_lightning.data.samples import Normalisation, resize_image
from wsss_lightning.methods.priors.activations import fusion_maps, layer_activations
from wsss_lightning.methods.priors.localization_network import LocalizationNetwork
from wsss_lightning.methods.priors.priors import class_activation_maps, fuse
from wsss_lightning.methods.priors.stages.find_regions import Boundaries, Regions
from wsss_lightning.methods.priors.stages.fit_localization import MakeNetwork, read_localization
from wsss_lightning.methods.priors.stages.make_masks import (
    Combine,
    Counted,
    Crf,
    Unary,
    foreground_probabilities,
    label_probabilities,
    smooth,
)
from wsss_lightning.nn.backbones import Backbone
from wsss_lightning.ops.resize import resize_maps
from wsss_lightning.stages.drawing import WHITE, Picture, draw_scores, enlarged, in_rows, titled
from wsss_lightning.stages.evaluate import panel_records
from wsss_lightning.stages.io import write_picture


def preview_priors(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    backbone: Backbone,
    convolution: int,
    network: MakeNetwork,
    localization: str,
    size: tuple[int, int],
    boundaries: Boundaries,
    combine: Combine,
    counted: Counted,
    unary: Unary,
    crf: Crf,
    panels: int,
) -> None:
    """Draw `<image_id>/{activations,probabilities,smoothing}.png` of the val images in the report.

    Masks are made for tags, so these pictures, and no number, use the tags of val images. `size`: see
    `class_activations`; the others: see `activate` and `make_masks`.
    """
    copy = deepcopy(backbone)
    trained = read_localization(Path(localization), backbone=copy, network=network, num_classes=data.num_classes)
    for record in panel_records(data.records("val"), panels):
        folder = Path(out_dir) / record.image_id
        seen = _look(record, data, backbone, trained, convolution=convolution, size=size)
        count = data.num_classes if counted == "all" else len(seen.classes)
        probs = label_probabilities(seen.fusion, seen.cams, combine, counted=count)
        regions = boundaries(seen.image)
        blocks = {f"block {number}": block for number, block in enumerate(seen.blocks, start=1)}
        write_picture(folder / "activations.png", draw_maps(seen.image, {**blocks, "fusion P": seen.fusion}))
        names = [data.class_names[c].replace("_", " ") for c in seen.classes]
        maps = zip(names, *class_maps(seen, combine), torch.from_numpy(probs[1:]), strict=True)
        titles = {f"{s}, {name}": m for name, *three in maps for s, m in zip("MQP", three, strict=True)}
        write_picture(folder / "probabilities.png", draw_maps(seen.image, titles))
        pairs, higher = (_masks(seen, probs, found, data, unary=unary, crf=crf) for found in (None, regions))
        write_picture(folder / "smoothing.png", draw_masks(seen.image, regions, pairs, higher))


@dataclass(frozen=True)
class Seen:
    """One image (H, W, 3), its classes (T,) from 0, means of its five blocks (h, w), P_f (H, W), M_c (T, H, W)."""

    image: Picture
    classes: NDArray[np.intp]
    blocks: list[Tensor]
    fusion: Tensor
    cams: Tensor


@torch.inference_mode()
def _look(
    record: Record,
    data: SegmentationDataModule,
    backbone: Backbone,
    trained: LocalizationNetwork,
    *,
    convolution: int,
    size: tuple[int, int],
) -> Seen:
    image, classes = read_image(record.image), np.flatnonzero(record.tags)
    normalise = Normalisation(data.mean, data.std)
    whole, shrunk = normalise(image)[None], normalise(resize_image(image, (size[0], size[1])))[None]
    cams = class_activation_maps(trained.features(shrunk), trained.weights[torch.from_numpy(classes)])
    return Seen(
        image=image,
        classes=classes,
        blocks=[block[0].mean(dim=0) for block in layer_activations(backbone, whole)],
        fusion=fuse(*fusion_maps(backbone, whole, convolution=convolution), image.shape[:2])[0],
        cams=resize_maps(cams, image.shape[:2])[0],
    )


def class_maps(seen: Seen, combine: Combine) -> tuple[Tensor, Tensor]:
    """M_c as eq 3 takes it and Q_c (eq 2), each (T, H, W): the two ends of eq 3."""
    localized, truncated = (combine(seen.fusion, seen.cams, alpha=end, normalise=False)[1:] for end in (0.0, 1.0))
    return localized, truncated


def _masks(
    seen: Seen,
    probs: NDArray[np.float32],
    regions: Regions | None,
    data: SegmentationDataModule,
    *,
    unary: Unary,
    crf: Crf,
) -> dict[str, Picture]:
    foreground = smooth(seen.image, foreground_probabilities(seen.fusion), regions, unary=unary, crf=crf)
    labels = np.array([0, *seen.classes + 1], np.uint8)[smooth(seen.image, probs, regions, unary=unary, crf=crf)]
    return {"fg/bg": colorize(foreground.astype(np.uint8)), "classes": colorize(data.decode(labels))}


def draw_maps(image: Picture, maps: Mapping[str, Tensor]) -> Picture:
    """Heat maps (h, w) over an image, each on its own scale below its title, three side by side."""
    tiles = [titled(draw_scores(enlarged(image), each[None]), title) for title, each in maps.items()]
    return in_rows(tiles, columns=3)


def draw_masks(
    image: Picture, regions: Regions, pairs: Mapping[str, Picture], higher: Mapping[str, Picture]
) -> Picture:
    """An image and masks of it by a CRF of pairs alone; below, the borders of its regions and masks with regions."""
    borders = image.copy()
    borders[find_boundaries(regions)] = WHITE  # type: ignore[no-untyped-call]
    above = {"image": image} | {f"{title}, pairs alone": mask for title, mask in pairs.items()}
    below = {"regions": borders} | {f"{title}, with regions": mask for title, mask in higher.items()}
    tiles = [titled(enlarged(picture), title) for title, picture in [*above.items(), *below.items()]]
    return in_rows(tiles, columns=len(above))
