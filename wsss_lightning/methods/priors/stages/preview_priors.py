"""Stage: how a few val images become masks (priors figures 3 to 6)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.segmentation import find_boundaries
from torch import Tensor

from wsss_lightning.data.base import Record, SegmentationDataModule, SegmentationDataset
from wsss_lightning.data.images import read_image
from wsss_lightning.data.masks import colorize
from wsss_lightning.data.samples import Size
from wsss_lightning.methods.priors.activations import fusion_maps, layer_activations
from wsss_lightning.methods.priors.localization import LocalizationModule
from wsss_lightning.methods.priors.localization_network import LocalizationNetwork
from wsss_lightning.methods.priors.localization_trunk import LocalizationTrunk
from wsss_lightning.methods.priors.priors import class_activation_maps, fuse
from wsss_lightning.methods.priors.stages.class_activations import trained_size
from wsss_lightning.methods.priors.stages.find_regions import Boundaries
from wsss_lightning.methods.priors.stages.make_masks import (
    Combine,
    Counted,
    foreground_probabilities,
    prior_probabilities,
)
from wsss_lightning.nn.backbones import Backbone
from wsss_lightning.ops.resize import resize_maps
from wsss_lightning.stages.drawing import WHITE, Picture, draw_scores, enlarged, in_rows, titled
from wsss_lightning.stages.evaluate import panel_records
from wsss_lightning.stages.io import write_picture
from wsss_lightning.stages.predict import load_fitting
from wsss_lightning.stages.refine import Crf, Regions, Unary, smooth


def preview_priors(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    backbone: Backbone,
    convolution: int,
    model: str,
    boundaries: Boundaries,
    combine: Combine,
    counted: Counted,
    unary: Unary,
    crf: Crf,
    panels: int,
) -> None:
    """Draw `<image_id>/{activations,probabilities,smoothing}.png` of the val images in the report.

    Masks are made for tags, so these pictures, and no number, use the tags of val images. `model`: see
    `class_activations`; the others: see `activate` and `make_masks`.
    """
    network = cast(LocalizationModule, load_fitting(model, data)).network
    for record in panel_records(data.records("val"), panels):
        folder = Path(out_dir) / record.image_id
        priors = _image_priors(record, data, backbone, network, convolution=convolution, size=trained_size(model))
        count = data.num_classes if counted == "all" else len(priors.classes)
        probs = prior_probabilities(priors.fusion, priors.cams, combine, counted=count)
        regions = boundaries(priors.image)
        blocks = {f"block {number}": block for number, block in enumerate(priors.blocks, start=1)}
        write_picture(folder / "activations.png", draw_maps(priors.image, {**blocks, "fusion P": priors.fusion}))
        names = [data.class_names[c].replace("_", " ") for c in priors.classes]
        maps = zip(names, *class_maps(priors, combine), torch.from_numpy(probs[1:]), strict=True)
        titles = {f"{s}, {name}": m for name, *three in maps for s, m in zip("MQP", three, strict=True)}
        write_picture(folder / "probabilities.png", draw_maps(priors.image, titles))
        pairs, higher = (_masks(priors, probs, terms, data, unary=unary, crf=crf) for terms in (None, regions))
        write_picture(folder / "smoothing.png", draw_masks(priors.image, regions, pairs, higher))


@dataclass(frozen=True)
class ImagePriors:
    """One image (H, W, 3), its classes (T,) from 0, means of its five blocks (h, w), P_f (H, W), M_c (T, H, W)."""

    image: Picture
    classes: NDArray[np.intp]
    blocks: list[Tensor]
    fusion: Tensor
    cams: Tensor


@torch.inference_mode()
def _image_priors(
    record: Record,
    data: SegmentationDataModule,
    backbone: Backbone,
    network: LocalizationNetwork | LocalizationTrunk,
    *,
    convolution: int,
    size: Size,
) -> ImagePriors:
    image, classes = read_image(record.image), np.flatnonzero(record.tags)
    whole, shown = (_normalised(record, data, each) for each in (None, size))
    cams = class_activation_maps(network.features(shown), network.weights[torch.from_numpy(classes)])
    return ImagePriors(
        image=image,
        classes=classes,
        blocks=[block[0].mean(dim=0) for block in layer_activations(backbone, whole)],
        fusion=fuse(*fusion_maps(backbone, whole, convolution=convolution), image.shape[:2])[0],
        cams=resize_maps(cams, image.shape[:2])[0],
    )


def _normalised(record: Record, data: SegmentationDataModule, size: Size) -> Tensor:
    """An image as networks see it, (1, 3, H, W)."""
    images = SegmentationDataset([record], encode=data.encode, size=size, mean=data.mean, std=data.std)
    image: Tensor = images[0]["image"][None]
    return image


def class_maps(priors: ImagePriors, combine: Combine) -> tuple[Tensor, Tensor]:
    """M_c as eq 3 takes it and Q_c (eq 2), each (T, H, W): the two ends of eq 3."""
    localized, truncated = (combine(priors.fusion, priors.cams, alpha=end, normalise=False)[1:] for end in (0.0, 1.0))
    return localized, truncated


def _masks(
    priors: ImagePriors,
    probs: NDArray[np.float32],
    regions: Regions | None,
    data: SegmentationDataModule,
    *,
    unary: Unary,
    crf: Crf,
) -> dict[str, Picture]:
    foreground = smooth(priors.image, foreground_probabilities(priors.fusion), regions, unary=unary, crf=crf)
    labels = np.array([0, *priors.classes + 1], np.uint8)[smooth(priors.image, probs, regions, unary=unary, crf=crf)]
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
